// How are figures written? Short, of even width, and "–" for what is not known.

const NONE = "–";
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const unknown = (value) => value === null || value === undefined || !Number.isFinite(value);

export function count(value) {
  return unknown(value) ? NONE : whole.format(value);
}

/** "1 connection", "2 connections". */
export const counted = (value, what) => `${count(value)} ${what}${value === 1 ? "" : "s"}`;

/** Three figures that matter: 0.42, 4.20, 42.0, 420; of what is below a hundredth, two. */
export function number(value) {
  if (unknown(value)) return NONE;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return whole.format(value);
  if (size < 0.0095) return value.toPrecision(2);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

export function seconds(value) {
  if (unknown(value)) return NONE;
  if (value === 0) return "0 s";
  if (value < 0.001) return `${number(value * 1e6)} µs`;
  if (value < 1) return `${number(value * 1e3)} ms`;
  if (value < 100) return `${number(value)} s`;
  if (value < 6000) return `${number(value / 60)} min`;
  return value < 172800 ? `${number(value / 3600)} h` : `${number(value / 86400)} d`;
}

export function share(value) {
  if (unknown(value)) return NONE;
  const percent = value * 100;
  if (percent > 0 && percent < 0.1) return "< 0.1 %";
  return `${percent.toFixed(percent === 0 || percent >= 99.95 ? 0 : 1)} %`;
}

export function bytes(value) {
  if (unknown(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(size) : number(size)} ${units[unit]}`;
}

export function clock(date) {
  return date.toLocaleTimeString("en-GB", { hour12: false });
}

/** How often, in words: 0.42/s. */
export const rate = (value) => (unknown(value) ? NONE : `${number(value)}/s`);
