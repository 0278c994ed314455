// What does the cache keep, and what does it save?

import { byId, el, hide, text } from "./dom.js";
import { bytes, count, counted, seconds, share } from "./format.js";

const RESULTS = ["hit", "stale", "coalesced", "miss", "bypass"];
const COLUMNS = [
  ["Route", "Routes with a cache that had requests"],
  ["Hit ratio", "Share answered without asking a backend, over the chosen time"],
  ["Since start", "The same since the process started"],
  ["Saved time", "Backend seconds that the answers given had taken when they were made"],
  ["Saved bytes", "Body bytes for which no backend was asked"],
  ["hit", "Given from the cache"],
  ["stale", "Given though it had expired"],
  ["coalesced", "Waited for another's answer to the same request"],
  ["miss", "A backend was asked"],
  ["bypass", "Went past the cache"],
];

export class Cache {
  constructor() {
    this.rows = new Map();
    this.facts = el("p", { class: "facts" });
    this.body = el("tbody", { role: "rowgroup" });
    const heads = COLUMNS.map(([label, help]) => el("th", { scope: "col", role: "columnheader", title: help }, label));
    this.table = el("div", { class: "scroll", role: "region", "aria-labelledby": "cache-title", tabindex: "0" },
      el("table", { class: "figures stacked", role: "table", "aria-labelledby": "cache-title" },
        el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)), this.body));
    byId("cache-body").replaceChildren(this.facts, this.table);
  }

  update(model, windowS) {
    const cache = model.document.cache;
    hide(byId("purge"), cache === null);
    hide(this.table, cache === null);
    text(this.facts, cache === null ? "No route has a cache." : describe(cache));
    this.facts.classList.toggle("bad", cache !== null && cache.off.length > 0);
    for (const [name, entry] of model.routes) {
      if (Object.keys(entry.figures.cache).length === 0) continue;
      if (!this.rows.has(name)) this.rows.set(name, this.row(name));
      this.fill(this.rows.get(name), entry, windowS);
    }
    for (const [name, cells] of this.rows) {
      if (model.routes.has(name)) continue;
      cells[0].closest("tr").remove();
      this.rows.delete(name);
    }
  }

  row(name) {
    const cells = COLUMNS.slice(1).map(([label]) => el("td", { role: "cell", "data-label": label }));
    this.body.append(el("tr", { role: "row", "data-route": name }, el("th", { scope: "row", role: "rowheader" }, name), ...cells));
    return cells;
  }

  fill(cells, { figures, history }, windowS) {
    const asked = history.last("asked");
    const values = [
      share(history.ratio("given", "asked", windowS)), share(asked > 0 ? history.last("given") / asked : null),
      seconds(figures.saved_s), bytes(figures.saved_bytes), ...RESULTS.map((result) => count(figures.cache[result])),
    ];
    values.forEach((value, index) => text(cells[index], value));
  }
}

function describe(cache) {
  const used = cache.max_bytes > 0 ? ` (${share(cache.bytes / cache.max_bytes)} of ${bytes(cache.max_bytes)})` : "";
  const parts = [`${counted(cache.entries, "answer")} in memory, ${bytes(cache.bytes)}${used}`];
  if (cache.flights > 0) parts.push(`${count(cache.flights)} under way that others may join`);
  if (cache.store !== "memory") parts.push(`${cache.store} behind it, ${count(cache.shared_errors)} errors there`);
  if (cache.off.length > 0) parts.unshift(`▲ turned off by an audit for ${cache.off.join(", ")}`);
  return parts.join(" · ");
}
