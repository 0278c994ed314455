// Why did a request go where it went? Each attempt's candidates with their scores, and who was left out.

import { el } from "./dom.js";
import { count, number, seconds } from "./format.js";

const FIRST = ["score"];

/** All there is to say of one decision. */
export function why(one) {
  const box = el("div", { class: "reasons" }, el("p", { class: "soft" }, facts(one).join(" · ")));
  if (one.attempts.length === 0) box.append(el("p", {}, "No backend was chosen: no score decided this one."));
  one.attempts.forEach((attempt, index) => box.append(attemptOf(one, attempt, index)));
  return box;
}

function facts(one) {
  const parts = [`request ${one.request_id}`, `took ${seconds(one.duration_s)}`];
  if (one.queued_s > 0) parts.push(`waited ${seconds(one.queued_s)} in the queue`);
  if (one.error) parts.push(`error: ${one.error}`);
  if (one.cache) parts.push(`cache: ${one.cache.result}${one.cache.detail ? ` (${one.cache.detail})` : ""}`);
  return parts;
}

function attemptOf(one, attempt, index) {
  const ended = attempt.error ?? attempt.outcome ?? "not ended";
  const title = el("h4", {}, `Attempt ${index + 1}: ${attempt.pool} by ${attempt.policy} → ${attempt.backend || "nobody"}`,
    el("span", { class: "soft" }, ` ${ended} after ${seconds(attempt.ended_s)}`));
  const box = el("div", { class: "attempt" }, title, candidates(attempt), leftOut(attempt));
  const total = (attempt.candidates_total ?? 0) + (attempt.excluded_total ?? 0);
  const shown = attempt.candidates.length + attempt.excluded.length;
  if (total > shown) box.append(more(one, index, box, total));
  return box;
}

function candidates(attempt) {
  if (attempt.candidates.length === 0) return el("p", {}, "No candidate: nobody could take it.");
  const terms = new Set(FIRST);
  for (const row of attempt.candidates) {
    for (const name of Object.keys(row)) if (name !== "backend") terms.add(name);
  }
  const names = [...terms].filter((name) => attempt.candidates.some((row) => name in row));
  const heads = ["candidate", ...names.map(words)].map((name) => el("th", { scope: "col" }, name));
  const rows = attempt.candidates.map((row) => el("tr", { "data-chosen": row.backend === attempt.backend ? "" : null },
    el("th", { scope: "row" }, row.backend, row.backend === attempt.backend ? el("em", {}, " ◂ chosen") : null),
    ...names.map((name) => el("td", {}, value(name, row[name])))));
  return el("div", { class: "scroll", role: "region", "aria-label": "Candidates", tabindex: "0" },
    el("table", { class: "figures" }, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows)));
}

function leftOut(attempt) {
  if (attempt.excluded.length === 0) return null;
  const rows = attempt.excluded.map((row) => el("li", {}, el("strong", {}, row.backend), ` ${row.why}`));
  return el("div", {}, el("h5", {}, "Left out"), el("ul", { class: "left-out" }, ...rows));
}

/** The short form leaves out all but the first: the whole decision is asked for. */
function more(one, index, box, total) {
  const button = el("button", { type: "button" }, `Show all ${total}`);
  button.addEventListener("click", async () => {
    const query = new URLSearchParams({ request_id: one.request_id, limit: "1" });
    const answer = await fetch(`api/decisions?${query}`).then((response) => response.json(), () => null);
    const whole = answer?.decisions?.[0]?.attempts[index];
    if (whole) box.replaceWith(attemptOf(one, whole, index));
    else button.replaceWith(el("p", { class: "soft" }, "Forgotten by now: only the last decisions are kept."));
  });
  return button;
}

const words = (name) => name.replace(/_s$/, "").replaceAll("_", " ");

function value(name, raw) {
  if (raw === null || raw === undefined) return "–";
  if (typeof raw !== "number") return String(raw);
  if (name.endsWith("_s")) return seconds(raw);
  return Number.isInteger(raw) ? count(raw) : number(raw);
}
