// What is on the page, and when is it brought up to date?

import { Actions } from "./actions.js";
import { Attention } from "./attention.js";
import { Backends } from "./backends.js";
import { Cache } from "./cache.js";
import { Configuration } from "./config.js";
import { Decisions } from "./decisions.js";
import { attribute, byId, hide, say, text } from "./dom.js";
import { clock, seconds } from "./format.js";
import { Model } from "./model.js";
import { Stream } from "./stream.js";
import { Routes, Vitals } from "./traffic.js";

const model = new Model();
const actions = new Actions(model);
const backends = new Backends((pool, name) => actions.turn(pool, name));
const attention = new Attention(() => backends.showOut());
const decisions = new Decisions();
const configuration = new Configuration();
const views = [new Vitals(), new Routes(), backends, new Cache()];
const LIVE = { live: "live", paused: "paused while out of sight", polling: "asking every few seconds: too many pages listen", lost: "not connected" };

let windowS = 10;
let lostSince = null;

for (const choice of document.querySelectorAll("input[name=window]")) {
  choice.addEventListener("change", () => {
    windowS = Number(choice.value);
    render();
  });
}
// What nobody sees is not drawn; figures go on being kept, for a while.
document.addEventListener("visibilitychange", render);

function overview(data) {
  const before = model.document;
  if (before !== null && before.status.version !== data.status.version) location.reload(); // a page of its own
  if (model.update(data)) attention.restarted();
  attention.update(model);
  render();
  configuration.update(data.status.config_hash);
}

function render() {
  if (document.hidden || model.document === null) return;
  header(model.document);
  for (const view of views) view.update(model, windowS);
}

function readiness(tone, symbol, word) {
  attribute(byId("ready"), "data-state", tone);
  text(byId("ready").firstElementChild, symbol);
  text(byId("ready-word"), word);
}

function header({ status, time }) {
  const told = status.draining ? "draining" : status.ready ? "ready" : "not ready";
  if (lostSince !== null) readiness("unknown", "○", "unknown");
  else if (status.ready) readiness("good", "●", told);
  else if (status.draining) readiness("warn", "◇", told);
  else readiness("bad", "✕", `${told}: ${status.reason}`);
  text(byId("version"), status.version);
  text(byId("process"), `${status.listeners.join(", ")} · up ${seconds(status.uptime_s)} · ${clock(new Date(time))}`);
  const title = `${status.ready ? "" : `${told} · `}gateway ${status.listeners[0] ?? ""}`;
  if (document.title !== title) document.title = title;
}

function state(now) {
  const lost = now === "lost";
  if (lost && lostSince === null) lostSince = new Date();
  if (!lost && lostSince !== null) {
    lostSince = null;
    say("The gateway answers again.");
  }
  attribute(byId("live"), "data-live", now);
  text(byId("live"), LIVE[now]);
  text(byId("banner"), lost ? `Gateway unreachable since ${clock(lostSince)}, retrying. Figures below are the last ones known.` : "");
  hide(byId("banner"), !lost);
  if (lost) readiness("unknown", "○", "unknown");
  document.body.classList.toggle("away", lost);
}

new Stream({ overview, decisions: (list, first) => decisions.add(list, first), state });
