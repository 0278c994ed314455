// How much is going on, how well? The whole in a few figures, and each route in a line.

import { attribute, byId, el, hide, text } from "./dom.js";
import { bytes, count, counted, number, rate, seconds, share } from "./format.js";
import { draw, POINTS, SHORT, spark } from "./spark.js";

const perLatency = (history, windowS) => {
  const mean = history.ratio("spent", "timed", windowS);
  const pace = history.rate("requests", windowS);
  return mean > 0 && pace !== null ? pace / mean : null;
};

const VITALS = [
  ["Requests", "drawn", 1, (h, w) => rate(h.rate("requests", w)), (h) => `${count(h.last("requests"))} in all`],
  ["Errors", "failing", 0.05, (h, w) => share(h.ratio("errors", "ended", w)), (h) => `${count(h.last("errors"))} in all`],
  ["Latency, median", "mean", 0,
    (h, w, d) => seconds(h.quantile(0.5, d.latency_bounds_s, w)),
    (h, w, d) => `p95 ${seconds(h.quantile(0.95, d.latency_bounds_s, w))} · p99 ${seconds(h.quantile(0.99, d.latency_bounds_s, w))}`],
  ["Throughput ÷ latency", "quotient", 0,
    (h, w) => number(perLatency(h, w)),
    (h, w) => `mean ${seconds(h.ratio("spent", "timed", w))}`],
  ["In flight", "in_flight", 1, (h) => count(h.last("in_flight")), (h, w, d) => counted(d.status.connections, "connection")],
  ["Queue", "waiting", 1, (h) => count(h.last("waiting")), (h) => (h.last("waiting") > 0 ? "waiting for a backend" : "nobody waits")],
  ["Tokens written", "written", 1,
    (h, w) => rate(h.rate("tokens", w)),
    (h) => `${count(h.last("tokens"))} in all, ${count(h.last("prompted"))} read`],
  ["Cache hits", "hits", 1, (h, w) => share(h.ratio("given", "asked", w)), (h) => `${seconds(h.last("saved_s"))}, ${bytes(h.last("saved_bytes"))} saved`],
];

export class Vitals {
  constructor() {
    this.cells = VITALS.map(([label, column, floor, value, below]) => {
      const cell = { column, floor, value, below, figure: el("dd", { class: "figure" }, "–"), note: el("dd", { class: "note" }, "") };
      cell.line = spark();
      cell.box = el("div", { class: "vital" }, el("dt", {}, label), cell.figure, cell.note, cell.line);
      return cell;
    });
    byId("vitals").append(...this.cells.map((cell) => cell.box));
  }

  update(model, windowS) {
    const history = model.whole;
    for (const cell of this.cells) {
      text(cell.figure, cell.value(history, windowS, model.document));
      text(cell.note, cell.below(history, windowS, model.document));
      draw(cell.line, history.points(cell.column, POINTS), cell.floor);
    }
    hide(this.cells[this.cells.length - 1].box, model.document.cache === null);
    hide(this.cells[this.cells.length - 2].box, history.last("tokens") + history.last("prompted") === 0);
    attribute(this.cells[1].box, "data-tone", history.grown("errors", windowS) > 0 ? "bad" : null);
    attribute(this.cells[5].box, "data-tone", history.last("waiting") > 0 ? "warn" : null);
  }
}

const COLUMNS = [
  ["Route", "Which requests: the name in the configuration; - for those no route took"],
  ["Requests", "Per second over the chosen time"],
  ["In all", "Since the process started"],
  ["Median", "From a request's head to the end of its reply: half were faster"],
  ["p95", "95 of 100 were faster"],
  ["p99", "99 of 100 were faster"],
  ["Errors", "Share of answers of 500 and above, or broken off, over the chosen time"],
  ["Failed", "Those since the process started"],
  ["4xx", "Answers from 400 to 499 since the process started"],
  ["In flight", "Requests under way"],
  ["Req/s ÷ s", "Throughput ÷ latency: requests per second for each second of mean duration"],
  ["Hit ratio", "Share answered without asking a backend, over the chosen time"],
  ["Bytes", "Bodies in and out, per second"],
];

export class Routes {
  constructor() {
    this.rows = new Map();
    this.body = el("tbody", { role: "rowgroup" });
    const heads = COLUMNS.map(([label, help]) => el("th", { scope: "col", role: "columnheader", title: help }, label));
    byId("routes").append(
      el("caption", { class: "unseen" }, "Routes and their figures"),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)), this.body);
  }

  update(model, windowS) {
    for (const [name, entry] of model.routes) {
      if (!this.rows.has(name)) this.rows.set(name, this.row(name));
      this.fill(this.rows.get(name), entry, windowS, model.document.latency_bounds_s);
    }
    for (const [name, row] of this.rows) {
      if (!model.routes.has(name)) {
        row.node.remove();
        this.rows.delete(name);
      }
    }
  }

  row(name) {
    const line = spark();
    const cells = COLUMNS.slice(1).map(([label]) => el("td", { role: "cell", "data-label": label }, el("span", {})));
    cells[0].prepend(line);
    cells[0].className = "drawn";
    const shown = name === "-" ? "- (no route took it)" : name;
    const node = el("tr", { role: "row", "data-route": name }, el("th", { scope: "row", role: "rowheader" }, shown), ...cells);
    this.body.append(node);
    return { node, line, cells: cells.map((cell) => cell.lastChild) };
  }

  fill(row, { figures, history }, windowS, bounds) {
    const quantile = (at) => seconds(history.quantile(at, bounds, windowS));
    const errors = history.ratio("errors", "ended", windowS);
    const values = [
      rate(history.rate("requests", windowS)), count(history.last("requests")),
      quantile(0.5), quantile(0.95), quantile(0.99), share(errors), count(history.last("errors")),
      count(figures.by_class["4xx"] ?? 0), count(history.last("in_flight")), number(perLatency(history, windowS)),
      share(history.ratio("given", "asked", windowS)), `${bytes(history.rate("bytes", windowS))}/s`,
    ];
    values.forEach((value, index) => text(row.cells[index], value));
    attribute(row.cells[5], "class", errors > 0 ? "bad" : null);
    draw(row.line, history.points("drawn", SHORT), 1, SHORT);
  }
}
