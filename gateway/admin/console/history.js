// What was it a while ago? Samples of the last minutes, and what became of totals between two of them.

const KEPT_S = 310;
const SLACK_S = 0.3;

export class History {
  constructor() {
    this.times = [];
    this.columns = new Map();
  }

  /** Adds a sample at `at` seconds; the same names every time. */
  push(at, row) {
    this.times.push(at);
    for (const [name, value] of Object.entries(row)) {
      if (!this.columns.has(name)) this.columns.set(name, []);
      this.columns.get(name).push(value);
    }
    while (this.times[0] < at - KEPT_S) {
      this.times.shift();
      for (const column of this.columns.values()) column.shift();
    }
  }

  /** Where the last `windowS` seconds begin, or the first sample if there are not as many. */
  start(windowS) {
    const from = this.times[this.times.length - 1] - windowS - SLACK_S;
    let low = 0;
    let high = this.times.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] < from) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  last(name) {
    const column = this.columns.get(name) ?? [];
    return column[column.length - 1];
  }

  /** How much a total grew in the last `windowS` seconds; never negative. */
  grown(name, windowS) {
    const column = this.columns.get(name);
    if (!column || column.length < 2) return 0;
    return Math.max(0, column[column.length - 1] - column[this.start(windowS)]);
  }

  /** Growth per second; null before there are two samples. */
  rate(name, windowS) {
    if (this.times.length < 2) return null;
    const span = this.times[this.times.length - 1] - this.times[this.start(windowS)];
    return span > 0 ? this.grown(name, windowS) / span : null;
  }

  /** Growth of one total over that of another; null where the other did not grow. */
  ratio(name, of, windowS) {
    const below = this.grown(of, windowS);
    return below > 0 ? this.grown(name, windowS) / below : null;
  }

  /** The value that `share` of what was counted in the last `windowS` seconds does not exceed. */
  quantile(share, bounds, windowS) {
    const column = this.columns.get("counts");
    if (!column || column.length < 2) return null;
    const now = column[column.length - 1];
    const then = column[this.start(windowS)];
    const counts = now.map((value, index) => Math.max(0, value - (then[index] ?? 0)));
    const total = counts.reduce((sum, value) => sum + value, 0);
    if (total === 0) return null;
    let below = 0;
    for (let index = 0; index < counts.length; index += 1) {
      if (counts[index] > 0 && below + counts[index] >= share * total) {
        if (index >= bounds.length) break;
        const lower = index > 0 ? bounds[index - 1] : 0;
        return lower + ((bounds[index] - lower) * (share * total - below)) / counts[index];
      }
      below += counts[index];
    }
    return bounds[bounds.length - 1];
  }

  /** The last `most` values of a column, for a sparkline. */
  points(name, most) {
    return (this.columns.get(name) ?? []).slice(-most);
  }
}
