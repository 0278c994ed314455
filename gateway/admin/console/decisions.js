// Where did the last requests go? A list that stands still while somebody reads in it.

import { attribute, byId, el, text } from "./dom.js";
import { clock, seconds } from "./format.js";
import { why } from "./why.js";

const KEPT = 200;
const SHOWN = 20;

const KINDS = {
  all: () => true,
  trouble: (one) => failed(one) || one.attempts.length > 1,
  waited: (one) => one.queued_s > 0,
  cache: (one) => one.cache !== null && one.cache.result !== "miss" && one.cache.result !== "bypass",
};

function failed(one) {
  return one.status >= 500 || (one.error !== null && one.error !== "client_closed");
}

export class Decisions {
  constructor() {
    this.kept = [];
    this.fresh = 0;
    this.list = byId("decision-list");
    this.kind = byId("kind");
    this.hold = byId("hold");
    this.kind.addEventListener("change", () => this.render());
    this.kind.form.addEventListener("submit", (event) => event.preventDefault());
    this.hold.addEventListener("click", () => {
      const held = this.hold.getAttribute("aria-pressed") !== "true";
      attribute(this.hold, "aria-pressed", held);
      if (!held) {
        this.list.querySelectorAll("details[open]").forEach((open) => (open.open = false));
        this.render();
      }
    });
    // An opened decision holds the list by itself.
    this.list.addEventListener("toggle", (event) => {
      if (event.target.open) attribute(this.hold, "aria-pressed", true);
    }, true);
  }

  /** Newest first; `first`: the last there were, as a stream begins. */
  add(decisions, first) {
    this.kept = (first ? decisions : [...decisions, ...this.kept]).slice(0, KEPT);
    this.fresh += decisions.length;
    // Nothing moves away from under a pointer, or from somebody who stands in the list.
    const held = this.hold.getAttribute("aria-pressed") === "true" || this.list.matches(":hover, :focus-within");
    if (held) text(byId("held"), `${this.fresh} newer`);
    else this.render();
  }

  render() {
    this.fresh = 0;
    text(byId("held"), "");
    const chosen = this.kept.filter(KINDS[this.kind.value]).slice(0, SHOWN);
    this.list.replaceChildren(...chosen.map(item));
    if (chosen.length === 0) this.list.append(el("li", { class: "soft" }, "none so far"));
  }
}

function item(one) {
  const summary = el("summary", {},
    el("time", { datetime: one.time }, clock(new Date(one.time))),
    el("span", { class: "status", "data-tone": failed(one) ? "bad" : one.status >= 400 ? "warn" : "good" },
      `${failed(one) ? "✕ " : ""}${one.status}`),
    el("span", { class: "went" }, where(one)),
    el("span", { class: "soft what" }, [one.route, one.model].filter(Boolean).join(" · ")),
    el("span", { class: "took" }, seconds(one.duration_s)));
  const details = el("details", {}, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(why(one));
  });
  return el("li", {}, details);
}

/** In a few words: gpu-1; or gpu-2 (reset) → gpu-1; or cache hit. */
function where(one) {
  const parts = [];
  if (one.cache !== null && !["miss", "bypass"].includes(one.cache.result)) parts.push(`cache: ${one.cache.result}`);
  const attempts = one.attempts.map((attempt) => {
    const ended = attempt.outcome === "ok" || attempt.outcome === null ? "" : ` (${attempt.outcome})`;
    return `${attempt.backend || "nobody"}${ended}`;
  });
  if (attempts.length) parts.push(attempts.join(" → "));
  if (one.error) parts.push(one.error);
  return parts.join(" · ") || "no backend";
}
