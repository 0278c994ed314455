// Which backends are there, pool by pool, and which of them are shown in which order?

import { attribute, byId, el, hide, text } from "./dom.js";
import { count, counted as howMany, rate, seconds } from "./format.js";
import { keyOf, waitingIn } from "./model.js";
import { COLUMNS, Row } from "./row.js";
import { standing } from "./standing.js";

/** Live figures change places at most so often, and never under the pointer or the keyboard. */
const SORT_AGAIN_MS = 5000;
/** Rows out of sight are brought up to date with every so manyth document, in turns. */
const TURNS = 5;

const SHOWN = {
  all: () => true,
  out: (figures) => standing(figures).out,
  failing: (figures, history, windowS) => history.grown("errors", windowS) > 0,
  slow: (figures) => figures.degraded || figures.slowness >= 1.5,
  busy: (figures) => figures.in_flight > 0,
};

export class Backends {
  constructor(act) {
    this.act = act;
    this.pools = new Map();
    this.turn = 0;
    this.sorted = { key: "name", down: false, at: 0 };
    this.find = byId("find");
    this.show = byId("show");
    this.sort = byId("sort");
    this.sort.append(...COLUMNS.map(([key, label]) => el("option", { value: key, selected: key === "name" }, label)));
    this.watcher = new IntersectionObserver((entries) => entries.forEach((entry) => this.seen(entry)), { rootMargin: "200px" });
    for (const [node, event] of [[this.find, "input"], [this.show, "change"]]) {
      node.addEventListener(event, () => this.filter());
    }
    this.sort.addEventListener("change", () => this.order(this.sort.value));
    byId("filter").addEventListener("submit", (event) => event.preventDefault());
  }

  showOut() {
    this.show.value = "out";
    this.filter();
    byId("backends").focus();
  }

  update(model, windowS) {
    this.model = model;
    this.windowS = windowS;
    this.turn += 1;
    let added = false;
    for (const [name, pool] of model.pools) {
      if (!this.pools.has(name)) this.pools.set(name, this.section(name));
      const section = this.pools.get(name);
      this.head(section, pool, windowS);
      pool.figures.backends.forEach((figures, index) => {
        if (!section.rows.has(figures.name)) {
          section.rows.set(figures.name, this.row(section, name, figures.name));
          added = true;
        }
        const row = section.rows.get(figures.name);
        if (row.visible || (this.turn + index) % TURNS === 0) this.refresh(row);
      });
      this.prune(section, pool);
    }
    for (const [name, section] of this.pools) {
      if (model.pools.has(name)) continue;
      section.node.remove();
      this.pools.delete(name);
    }
    this.filter();
    if (added || Date.now() - this.sorted.at > SORT_AGAIN_MS) this.place(added);
  }

  prune(section, pool) {
    if (section.rows.size === pool.figures.backends.length) return;
    const names = new Set(pool.figures.backends.map((backend) => backend.name));
    for (const [name, row] of section.rows) {
      if (names.has(name)) continue;
      this.watcher.unobserve(row.node);
      row.node.remove();
      section.rows.delete(name);
    }
  }

  section(name) {
    const id = `pool-${this.pools.size}`;
    const facts = el("p", { class: "facts" });
    const body = el("tbody", { role: "rowgroup" });
    const heads = COLUMNS.map(([key, label, help]) => this.columnHead(key, label, help));
    const table = el("table", { class: "figures stacked", role: "table", "aria-labelledby": id },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads,
        el("th", { scope: "col", role: "columnheader" }, el("span", { class: "unseen" }, "Action")))), body);
    const node = el("div", { class: "pool", "data-pool": name },
      el("div", { class: "pool-head" }, el("h3", { id }, name), facts),
      el("div", { class: "scroll", role: "region", "aria-labelledby": id, tabindex: "0" }, table));
    byId("pools").append(node);
    return { node, facts, body, heads, rows: new Map() };
  }

  columnHead(key, label, help) {
    const button = el("button", { type: "button", title: help, "data-sort": key }, label);
    button.addEventListener("click", () => this.order(key));
    return el("th", { scope: "col", role: "columnheader", class: key, "aria-sort": key === "name" ? "ascending" : null }, button);
  }

  row(section, pool, name) {
    const row = new Row(pool, name, this.act);
    row.node.row = row;
    row.at = { pool, name };
    section.body.append(row.node);
    this.watcher.observe(row.node);
    return row;
  }

  seen(entry) {
    const row = entry.target.row;
    const appeared = entry.isIntersecting && !row.visible;
    row.visible = entry.isIntersecting;
    if (appeared) this.refresh(row);
  }

  refresh(row) {
    const { pool, name } = row.at;
    const entry = this.model.backends.get(keyOf(pool, name));
    if (entry) row.update(entry, this.model.pools.get(pool), this.windowS);
  }

  head(section, { figures, history }, windowS) {
    const { high, normal, low } = figures.queue;
    const waiting = waitingIn(figures);
    const queue = waiting === 0 ? "nobody waits" : `${count(waiting)} wait (high ${high}, normal ${normal}, low ${low})`;
    const waited = figures.queued.count > 0 ? `, ${seconds(figures.queued.sum_s / figures.queued.count)} on average so far` : "";
    const facts = [
      figures.policy, howMany(figures.backends.length, "backend"), `${rate(history.rate("selected", windowS))} chosen`,
      `${queue}${waited}`, ...counted("retries", figures.retries), ...counted("hedges", figures.hedges),
      ...counted("turned away", figures.shed),
    ];
    text(section.facts, `${figures.panic ? "▲ panic: health is ignored · " : ""}${facts.join(" · ")}`);
    section.facts.classList.toggle("bad", figures.panic);
  }

  order(key) {
    const down = this.sorted.key === key && !this.sorted.down;
    this.sorted = { key, down, at: 0 };
    this.sort.value = key;
    for (const { heads } of this.pools.values()) {
      heads.forEach((head, index) => {
        attribute(head, "aria-sort", COLUMNS[index][0] === key ? (down ? "descending" : "ascending") : null);
      });
    }
    this.place(true);
  }

  /** Puts the rows into their order, moving only those that are out of it. */
  place(now) {
    const by = COLUMNS.find(([key]) => key === this.sorted.key)[3];
    this.sorted.at = Date.now();
    for (const [pool, section] of this.pools) {
      if (!now && section.body.matches(":hover, :focus-within")) continue;
      const order = [...section.rows].map(([name, row]) => {
        const { figures, history } = this.model.backends.get(keyOf(pool, name));
        return { name, row, value: by(figures, history, this.windowS) };
      });
      order.sort((a, b) => compare(a.value, b.value) || compare(a.name, b.name));
      if (this.sorted.down) order.reverse();
      order.forEach(({ row }, index) => {
        const there = section.body.children[index];
        if (there !== row.node) section.body.insertBefore(row.node, there ?? null);
      });
    }
  }

  filter() {
    if (!this.model) return;
    const words = this.find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = SHOWN[this.show.value];
    let shown = 0;
    for (const [pool, section] of this.pools) {
      let here = 0;
      for (const [name, row] of section.rows) {
        const { figures, history } = this.model.backends.get(keyOf(pool, name));
        const said = `${pool} ${name} ${row.address.textContent} ${row.word.textContent}`.toLowerCase();
        const fits = wanted(figures, history, this.windowS) && words.every((word) => said.includes(word));
        hide(row.node, !fits);
        here += fits ? 1 : 0;
      }
      hide(section.node, here === 0 && section.rows.size > 0);
      shown += here;
    }
    const total = this.model.backends.size;
    text(byId("shown"), shown === total ? `${count(total)} shown` : `${count(shown)} of ${count(total)} shown`);
  }
}

const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b || 0);

function counted(label, totals) {
  const all = Object.values(totals).reduce((sum, value) => sum + value, 0);
  if (all === 0) return [];
  const parts = Object.entries(totals).map(([name, times]) => `${name} ${count(times)}`);
  return [`${label} ${count(all)} (${parts.join(", ")})`];
}
