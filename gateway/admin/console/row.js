// What does one backend look like in the table? Its cells are made once; only what changed is written.

import { attribute, el, hide, text } from "./dom.js";
import { count, number, rate, seconds, share } from "./format.js";
import { draw, SHORT, spark } from "./spark.js";
import { RANK, standing } from "./standing.js";

const perLatency = (history, windowS) => {
  const mean = history.ratio("spent", "timed", windowS);
  const pace = history.rate("timed", windowS);
  return mean > 0 && pace !== null ? pace / mean : null;
};

/** key, head, help, and what it is sorted by: of a backend's figures, its history and the chosen time. */
export const COLUMNS = [
  ["state", "State", "Whether it may be given work", (f) => RANK.indexOf(standing(f).word)],
  ["name", "Backend", "Name, address, labels, and why it is out of work", (f) => f.name],
  ["load", "In flight", "Requests under way, of the most it is given at once", (f) => -f.in_flight],
  ["waiting", "Waiting", "Those of them without a first byte yet", (f) => -f.waiting],
  ["rate", "Chosen", "Times per second that the policy chose it, over the chosen time", (f, h, w) => -(h.rate("selected", w) ?? 0)],
  ["share", "Share", "Part of the pool's choices, over the chosen time", (f, h, w) => -(h.rate("selected", w) ?? 0)],
  ["latency", "Latency", "Time to the first byte of an answer that the balancing expects", (f) => -(f.latency_s ?? 0)],
  ["score", "Score", "What the policy goes by, the lowest is chosen; hover for its terms", (f) => f.score ?? Infinity],
  ["slowness", "Slowness", "How slow it is whatever it was asked; 1 is the pool's median", (f) => -f.slowness],
  ["errors", "Errors", "Share of attempts that failed, over the chosen time", (f, h, w) => -(h.ratio("errors", "ended", w) ?? 0)],
  ["quotient", "Req/s ÷ s", "Throughput ÷ latency: answers per second for each second of mean duration", (f, h, w) => -(perLatency(h, w) ?? 0)],
  ["tokens", "Tokens", "Written per second in its answers, over the chosen time", (f, h, w) => -(h.rate("tokens", w) ?? 0)],
  ["weight", "Weight", "Share of the work relative to the pool's others: in effect, and as configured", (f) => -f.weight],
];

/** What fills the height at least: the noise of small figures is no mountain range. */
const FLOOR = { rate: 1, slowness: 2 };
const DRAWN = { rate: "drawn", latency: "latency", score: "score", slowness: "slowness" };

export class Row {
  constructor(pool, name, act) {
    this.symbol = el("span", { class: "symbol", "aria-hidden": "true" });
    this.word = el("span", {});
    this.address = el("span", { class: "soft address" });
    this.why = el("p", { class: "why" });
    this.meter = el("span", { class: "meter", "aria-hidden": "true" }, el("i", {}));
    this.bar = el("span", { class: "meter", "aria-hidden": "true" }, el("i", {}));
    this.button = el("button", { type: "button" });
    this.button.addEventListener("click", () => act(pool, name));
    this.cells = {};
    this.lines = {};
    const cells = COLUMNS.slice(2).map(([key, label]) => this.cell(key, label));
    this.cells.load.after(this.meter);
    this.cells.share.after(this.bar);
    this.node = el("tr", { role: "row", "data-backend": name },
      el("td", { role: "cell", class: "state", "data-label": "State" }, this.symbol, " ", this.word),
      el("th", { role: "rowheader", scope: "row", class: "name" }, el("strong", {}, name), " ", this.address, this.why),
      ...cells,
      el("td", { role: "cell", class: "act" }, this.button));
    this.visible = true; // until it is known
  }

  cell(key, label) {
    this.cells[key] = el("span", { class: "value" });
    const node = el("td", { role: "cell", class: key, "data-label": label });
    if (key in DRAWN) {
      this.lines[key] = spark(key);
      node.append(this.lines[key]);
      node.classList.add("drawn");
    }
    node.append(this.cells[key]);
    return node;
  }

  update({ figures, history }, pool, windowS) {
    const now = standing(figures);
    attribute(this.node, "data-tone", now.tone);
    attribute(this.node, "data-word", now.word);
    text(this.symbol, now.symbol);
    text(this.word, now.word);
    text(this.why, now.why);
    hide(this.why, !now.out && now.tone === "good");
    const labels = Object.entries(figures.labels).map(([name, value]) => `${name}=${value}`);
    text(this.address, [figures.url.replace("http://", ""), ...labels].join("  "));
    this.load(figures);
    this.values(figures, history, pool, windowS);
    const verb = figures.state === "draining" ? "Undrain" : "Drain";
    text(this.button, verb);
    attribute(this.button, "aria-label", `${verb} ${figures.name} of pool ${pool.figures.name}`);
    if (this.visible) this.draw(history);
  }

  load(figures) {
    const limit = figures.limit;
    text(this.cells.load, `${count(figures.in_flight)}${limit === null ? "" : ` / ${count(limit)}`}`);
    text(this.cells.waiting, count(figures.waiting));
    width(this.meter, limit === null ? 0 : figures.in_flight / limit);
    hide(this.meter, limit === null);
  }

  values(figures, history, pool, windowS) {
    const chosen = pool.history.grown("selected", windowS);
    const part = chosen > 0 ? history.grown("selected", windowS) / chosen : null;
    const errors = history.ratio("errors", "ended", windowS);
    text(this.cells.rate, rate(history.rate("selected", windowS)));
    text(this.cells.share, share(part));
    width(this.bar, part ?? 0);
    text(this.cells.latency, seconds(figures.latency_s));
    text(this.cells.score, number(figures.score));
    attribute(this.cells.score, "title", terms(figures));
    text(this.cells.slowness, number(figures.slowness));
    text(this.cells.errors, share(errors));
    attribute(this.cells.errors, "title", outcomes(figures));
    this.cells.errors.classList.toggle("bad", errors > 0);
    text(this.cells.quotient, number(perLatency(history, windowS)));
    const told = figures.tokens;
    text(this.cells.tokens, told.completion > 0 ? rate(history.rate("tokens", windowS)) : "–");
    attribute(this.cells.tokens, "title", spoken(told));
    const full = figures.configured_weight;
    text(this.cells.weight, figures.weight === full ? plain(full) : `${number(figures.weight)} of ${plain(full)}`);
  }

  draw(history) {
    for (const [key, line] of Object.entries(this.lines)) {
      draw(line, history.points(DRAWN[key], SHORT), FLOOR[key] ?? 0, SHORT);
    }
  }
}

const plain = (value) => String(Number(value.toPrecision(6)));

function width(meter, part) {
  const wide = `${(Math.min(1, part) * 100).toFixed(1)}%`;
  if (meter.firstChild.style.width !== wide) meter.firstChild.style.width = wide;
}

function terms(figures) {
  if (figures.terms === null) return figures.excluded;
  return Object.entries(figures.terms).map(([name, value]) => `${name} ${number(value)}`).join("\n");
}

function spoken(tokens) {
  const mean = ({ count: times, sum_s: sum }) => seconds(times > 0 ? sum / times : null);
  return [
    `${count(tokens.completion)} written`, `${count(tokens.prompt)} read, ${count(tokens.cached)} of them cached`,
    `first token after ${mean(tokens.first)}`, `then one every ${mean(tokens.gaps)}`,
  ].join("\n");
}

function outcomes(figures) {
  const some = Object.entries(figures.outcomes).filter(([, times]) => times > 0);
  return some.map(([name, times]) => `${name} ${count(times)}`).join("\n") || "no attempt has ended";
}
