// Which configuration is in force? As the file would say it, asked for anew when it is another one.

import { byId, el, text } from "./dom.js";
import { counted } from "./format.js";

export class Configuration {
  constructor() {
    this.hash = null;
  }

  async update(hash) {
    if (hash === this.hash) return;
    this.hash = hash;
    text(byId("config-hash"), `hash ${hash}`);
    try {
      const answer = await fetch("api/config");
      if (!answer.ok) throw new Error(answer.statusText);
      byId("config").replaceChildren(...parts(await answer.json()));
    } catch {
      this.hash = null; // asked again with the next document
    }
  }
}

function parts(config) {
  const small = {};
  const large = [];
  for (const [key, value] of Object.entries(config)) {
    if (value !== null && typeof value === "object") large.push([key, value]);
    else small[key] = value;
  }
  return [block("process", small), ...large.map(([key, value]) => block(key, value))];
}

function block(title, value) {
  const count = Array.isArray(value) ? `${value.length}` : counted(Object.keys(value).length, "key");
  return el("details", {}, el("summary", {}, title, " ", el("span", { class: "soft" }, count)),
    el("pre", { tabindex: "0" }, yaml(value, 0).replace(/^\n/, "")));
}

/** `value` as YAML, from a new line on if it is a mapping or a list with something in it. */
export function yaml(value, depth) {
  const indent = "  ".repeat(depth);
  if (Array.isArray(value)) {
    if (value.every((one) => one === null || typeof one !== "object")) return ` [${value.map(scalar).join(", ")}]`;
    return `\n${value.map((one) => `${indent}-${yaml(one, depth + 1).replace(/^\n\s*/, " ")}`).join("\n")}`;
  }
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value);
    if (entries.length === 0) return " {}";
    return `\n${entries.map(([key, one]) => `${indent}${key}:${yaml(one, depth + 1)}`).join("\n")}`;
  }
  return ` ${scalar(value)}`;
}

function scalar(value) {
  if (typeof value !== "string") return typeof value === "boolean" ? (value ? "on" : "off") : String(value);
  return /^[\w./*-][\w./:*@%+-]*$/.test(value) ? value : JSON.stringify(value);
}
