// What can be done here? Drain and undrain a backend, purge the cache; each is asked about first.

import { byId, el, say, text } from "./dom.js";
import { count, counted } from "./format.js";
import { keyOf } from "./model.js";

export class Actions {
  constructor(model) {
    this.model = model;
    this.dialog = byId("ask");
    this.act = null;
    byId("ask-no").addEventListener("click", () => this.dialog.close());
    byId("ask-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.confirmed();
    });
    byId("purge").addEventListener("click", () => this.purge());
  }

  ask({ title, explanation, verb, fields = [], harmless = false, act }) {
    text(byId("ask-title"), title);
    text(byId("ask-text"), explanation);
    text(byId("ask-yes"), verb);
    byId("ask-yes").className = harmless ? "plain" : "strong";
    text(byId("ask-error"), "");
    byId("ask-fields").replaceChildren(...fields);
    this.act = act;
    this.dialog.showModal();
    byId("ask-no").focus(); // Enter by mistake does nothing
  }

  async confirmed() {
    const yes = byId("ask-yes");
    if (yes.disabled) return;
    yes.disabled = true;
    text(byId("ask-error"), "");
    try {
      say(await this.act());
      this.dialog.close();
    } catch (error) {
      text(byId("ask-error"), error.message);
    } finally {
      yes.disabled = false;
    }
  }

  /** Drain a backend, or take it back if it is draining. */
  turn(pool, name) {
    const { figures } = this.model.backends.get(keyOf(pool, name));
    if (figures.state === "draining") this.undrain(pool, name);
    else this.drain(pool, name, figures);
  }

  drain(pool, name, figures) {
    const others = this.model.pools.get(pool).figures.backends.filter(
      (backend) => backend.name !== name && ["up", "starting"].includes(backend.state));
    const busy = figures.in_flight > 0 ? `The ${count(figures.in_flight)} in flight finish undisturbed. ` : "";
    const last = others.length === 0 ? `It is the last one of ${pool} that takes work: requests will be refused. ` : "";
    this.ask({
      title: `Drain ${name}?`,
      explanation: `It gets no new work from pool ${pool}. ${busy}${last}The gateway forgets this when it restarts.`,
      verb: "Drain",
      act: () => this.change(pool, name, "drain"),
    });
  }

  undrain(pool, name) {
    this.ask({
      title: `Undrain ${name}?`,
      explanation: `It takes work from pool ${pool} again, as far as it is well.`,
      verb: "Undrain",
      harmless: true,
      act: () => this.change(pool, name, "undrain"),
    });
  }

  async change(pool, name, what) {
    const path = `api/pools/${encodeURIComponent(pool)}/backends/${encodeURIComponent(name)}/${what}`;
    const answer = await send("POST", path);
    return `${answer.backend} is ${answer.state}`;
  }

  purge() {
    const routes = [...this.model.routes].filter(([, { figures }]) => Object.keys(figures.cache).length > 0);
    const route = el("select", { id: "purge-route" }, el("option", { value: "" }, "all routes"),
      ...routes.map(([name]) => el("option", { value: name }, name)));
    const model = el("input", { id: "purge-model", autocomplete: "off", spellcheck: "false", placeholder: "all models" });
    const cache = this.model.document.cache;
    this.ask({
      title: "Purge the cache?",
      explanation: `What is thrown away has to be computed again. In memory: ${counted(cache.entries, "answer")}` +
        (cache.store === "memory" ? "." : `, and ${cache.store} behind it, which other gateways may share.`),
      verb: "Purge",
      fields: [el("label", {}, "Route", route), el("label", {}, "Model", model)],
      act: async () => {
        const query = new URLSearchParams();
        if (route.value) query.set("route", route.value);
        if (model.value.trim()) query.set("model", model.value.trim());
        const answer = await send("DELETE", `api/cache${query.size ? `?${query}` : ""}`);
        return `${counted(answer.purged, "answer")} purged`;
      },
    });
  }
}

async function send(method, path) {
  let answer;
  try {
    answer = await fetch(path, { method, signal: AbortSignal.timeout(10000) });
  } catch {
    throw new Error("The gateway does not answer; nothing is known to have changed.");
  }
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(told?.error?.message ?? `The gateway answered ${answer.status}.`);
  return told;
}
