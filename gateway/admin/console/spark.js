// How did a figure go in the last minute or two? A line in the size of a word.

import { attribute, svg } from "./dom.js";

export const POINTS = 120;
export const SHORT = 60;
const WIDTH = 120;
const HEIGHT = 24;

/** The line as an image that says nothing to screen readers: the figure beside it does. */
export function spark(kind = "") {
  const line = svg("path", { class: "line", "vector-effect": "non-scaling-stroke" });
  const area = svg("path", { class: "area" });
  return svg("svg", {
    class: `spark ${kind}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none",
    "aria-hidden": "true", focusable: "false",
  }, area, line);
}

/** Draws `values`, newest at the right edge; null is a gap. `floor`: the least that counts as full height. */
export function draw(node, values, floor = 0, points = POINTS) {
  const top = Math.max(floor, ...values.map((value) => value ?? 0)) || 1;
  const offset = points - values.length;
  let line = "";
  let area = "";
  let from = null;
  values.forEach((value, index) => {
    const x = ((offset + index + 1) * WIDTH) / points;
    if (value === null || value === undefined) {
      if (from !== null) area += `V${HEIGHT}Z`;
      from = null;
      return;
    }
    const y = (HEIGHT - 1.5 - (Math.min(value, top) / top) * (HEIGHT - 3)).toFixed(1);
    area += from === null ? `M${x.toFixed(1)} ${HEIGHT}V${y}` : `L${x.toFixed(1)} ${y}`;
    line += `${from === null ? "M" : "L"}${x.toFixed(1)} ${y}`;
    from = x;
  });
  if (from !== null) area += `V${HEIGHT}Z`;
  attribute(node.lastChild, "d", line);
  attribute(node.firstChild, "d", area);
}
