// Who is out of work, and why? And what changed since somebody began to look.

import { byId, el, hide, say, text } from "./dom.js";
import { clock, counted } from "./format.js";
import { RANK, standing } from "./standing.js";

const MOST = 6;
const CHANGES = 8;

export class Attention {
  constructor(showOut) {
    this.known = new Map();
    this.items = new Map();
    this.more = el("li", { class: "more" }, el("button", { type: "button", class: "link" }, ""));
    this.more.firstChild.addEventListener("click", showOut);
  }

  /** Forgets what was known: another process tells its own story. */
  restarted() {
    this.known.clear();
    this.note(new Date(), "gateway", "restarted: all totals begin anew", "calm");
    say("The gateway has restarted.");
  }

  update(model) {
    const out = [];
    const tally = new Map();
    const changed = [];
    for (const [key, { figures, pool }] of model.backends) {
      const now = standing(figures);
      tally.set(now.word, (tally.get(now.word) ?? 0) + 1);
      if (now.out && now.word !== "full") out.push({ key, pool, name: figures.name, now });
      const before = this.known.get(key);
      // Full and free again come and go by the second: that is work, not news.
      if (before !== undefined && before !== now.word && now.word !== "full" && before !== "full") {
        changed.push({ name: figures.name, pool, before, now });
      }
      if (now.word !== "full" || before === undefined) this.known.set(key, now.word);
    }
    for (const { name, pool, before, now } of changed.slice(0, CHANGES)) {
      this.note(new Date(), `${name} · ${pool}`, `${before} → ${now.word}: ${now.why}`, now.tone);
    }
    this.tell(changed);
    this.fleet(tally, model);
    out.sort((a, b) => RANK.indexOf(a.now.word) - RANK.indexOf(b.now.word));
    this.list(out);
  }

  tell(changed) {
    if (changed.length === 1) say(`${changed[0].name}: ${changed[0].now.word}, was ${changed[0].before}`);
    else if (changed.length > 1) say(`${changed.length} backends changed their state`);
  }

  fleet(tally, model) {
    const parts = RANK.filter((word) => tally.has(word)).reverse().map((word) => `${tally.get(word)} ${word}`);
    const panic = model.document.pools.filter((pool) => pool.panic).map((pool) => pool.name);
    const alarm = panic.length ? ` — panic in ${panic.join(", ")}: too few are well, so health is ignored` : "";
    const total = counted(model.backends.size, "backend");
    text(byId("fleet"), `${total}: ${parts.join(", ") || "none"}${alarm}`);
    byId("fleet").classList.toggle("bad", panic.length > 0);
  }

  list(out) {
    const list = byId("out");
    const shown = out.slice(0, MOST);
    const keys = new Set(shown.map((one) => one.key));
    for (const [key, item] of this.items) {
      if (!keys.has(key)) {
        item.node.remove();
        this.items.delete(key);
      }
    }
    shown.forEach((one, index) => {
      if (!this.items.has(one.key)) this.items.set(one.key, this.item(one));
      const item = this.items.get(one.key);
      item.node.dataset.tone = one.now.tone;
      text(item.symbol, one.now.symbol);
      text(item.word, one.now.word);
      text(item.why, one.now.why);
      if (list.children[index] !== item.node) list.insertBefore(item.node, list.children[index] ?? null);
    });
    hide(list, out.length === 0);
    text(this.more.firstChild, `and ${out.length - MOST} more`);
    if (out.length > MOST) list.append(this.more);
    else this.more.remove();
  }

  item({ name, pool }) {
    const symbol = el("span", { class: "symbol", "aria-hidden": "true" });
    const word = el("span", { class: "word" });
    const why = el("span", { class: "why" });
    const who = el("span", { class: "who" }, el("strong", {}, name), el("span", { class: "soft" }, ` ${pool}`));
    return { node: el("li", {}, symbol, word, who, why), symbol, word, why };
  }

  note(time, who, what, tone) {
    const list = byId("changes");
    list.querySelector(".soft:only-child")?.remove();
    list.prepend(el("li", { "data-tone": tone }, el("time", {}, clock(time)), el("strong", {}, who), el("span", {}, what)));
    while (list.children.length > CHANGES) list.lastElementChild.remove();
  }
}
