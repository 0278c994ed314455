// What do the documents say together? Histories of routes, backends and the whole, and what changed.

import { History } from "./history.js";

const FAILED = ["server_error", "timeout", "connect_error", "reset"];
/** Over so many seconds rates are drawn; shorter ones are only noise. */
const DRAWN_S = 3;
/** After so long without a document the histories begin anew: nobody knows what was in between. */
const GAP_S = 15;

export const keyOf = (pool, backend) => `${pool}\u0000${backend}`;

const sum = (values) => values.reduce((total, value) => total + value, 0);

export class Model {
  constructor() {
    this.document = null;
    this.forget();
  }

  forget() {
    this.whole = new History();
    this.routes = new Map();
    this.pools = new Map();
    this.backends = new Map();
  }

  /** Takes in a document. True when it comes from another process than the one before. */
  update(document) {
    const before = this.document;
    const restarted = before !== null && isAnother(before, document);
    if (restarted || (before !== null && document.at_s - before.at_s > GAP_S)) this.forget();
    else if (before !== null && document.at_s <= before.at_s) return false;
    this.document = document;
    const at = document.at_s;
    document.routes.forEach((route) => this.take(this.routes, route.name, at, route, routeRow(route)));
    for (const pool of document.pools) {
      this.take(this.pools, pool.name, at, pool, {
        selected: sum(pool.backends.map((backend) => backend.selected)),
        waiting: waitingIn(pool),
        shed: sum(Object.values(pool.shed)),
        retries: sum(Object.values(pool.retries)),
        tokens: sum(pool.backends.map((backend) => backend.tokens.completion)),
      });
      for (const backend of pool.backends) {
        const taken = this.take(
          this.backends, keyOf(pool.name, backend.name), at, backend, backendRow(backend));
        taken.pool = pool.name;
      }
    }
    this.prune(this.routes, document.routes.map((route) => route.name));
    this.prune(this.pools, document.pools.map((pool) => pool.name));
    this.prune(this.backends, document.pools.flatMap(
      (pool) => pool.backends.map((backend) => keyOf(pool.name, backend.name))));
    this.push(this.whole, at, wholeRow(document));
    return restarted;
  }

  take(map, key, at, figures, row) {
    if (!map.has(key)) map.set(key, { history: new History(), figures });
    const entry = map.get(key);
    entry.figures = figures;
    this.push(entry.history, at, row);
    return entry;
  }

  push(history, at, row) {
    const drawn = "requests" in row ? "requests" : "selected";
    history.push(at, { ...row, drawn: 0, failing: 0, mean: null, quotient: null, hits: null, written: 0 });
    const last = history.times.length - 1;
    const pace = history.rate(drawn, DRAWN_S) ?? 0;
    const mean = history.ratio("spent", "timed", DRAWN_S);
    const set = (name, value) => (history.columns.get(name)[last] = value);
    set("drawn", pace);
    set("failing", history.ratio("errors", "ended", DRAWN_S) ?? 0);
    set("mean", mean);
    set("quotient", mean > 0 ? pace / mean : null);
    set("written", history.rate("tokens", DRAWN_S) ?? 0);
    set("hits", history.ratio("given", "asked", DRAWN_S));
  }

  prune(map, keys) {
    if (map.size === keys.length) return;
    const known = new Set(keys);
    for (const key of [...map.keys()]) if (!known.has(key)) map.delete(key);
  }
}

function isAnother(before, document) {
  return document.status.pid !== before.status.pid || document.status.uptime_s < before.status.uptime_s;
}

export function waitingIn(pool) {
  return sum(Object.values(pool.queue));
}

function routeRow(route) {
  const cache = route.cache;
  const given = (cache.hit ?? 0) + (cache.stale ?? 0) + (cache.coalesced ?? 0);
  return {
    requests: route.requests,
    ended: route.requests,
    errors: route.errors,
    timed: route.duration.count,
    spent: route.duration.sum_s,
    counts: route.duration.counts,
    in_flight: route.in_flight,
    asked: sum(Object.values(cache)),
    given,
    saved_s: route.saved_s,
    saved_bytes: route.saved_bytes,
    bytes: route.bytes_in + route.bytes_out,
  };
}

function backendRow(backend) {
  const outcomes = backend.outcomes;
  return {
    selected: backend.selected,
    ended: sum(Object.values(outcomes)) - outcomes.cancelled,
    errors: sum(FAILED.map((name) => outcomes[name])),
    timed: backend.duration.count,
    spent: backend.duration.sum_s,
    tokens: backend.tokens.completion,
    prompted: backend.tokens.prompt,
    latency: backend.latency_s,
    score: backend.score,
    slowness: backend.slowness,
    in_flight: backend.in_flight,
  };
}

function wholeRow(document) {
  const rows = document.routes.map(routeRow);
  const row = {};
  for (const name of Object.keys(rows[0] ?? routeRow(NOTHING))) {
    row[name] = name === "counts" ? addedUp(rows, document) : sum(rows.map((one) => one[name]));
  }
  row.waiting = sum(document.pools.map(waitingIn));
  const backends = document.pools.flatMap((pool) => pool.backends);
  row.tokens = sum(backends.map((backend) => backend.tokens.completion));
  row.prompted = sum(backends.map((backend) => backend.tokens.prompt));
  return row;
}

const NOTHING = {
  requests: 0, errors: 0, duration: { count: 0, sum_s: 0, counts: [] }, in_flight: 0, cache: {},
  saved_s: 0, saved_bytes: 0, bytes_in: 0, bytes_out: 0,
};

function addedUp(rows, document) {
  const counts = new Array(document.latency_bounds_s.length + 1).fill(0);
  for (const row of rows) row.counts.forEach((value, index) => (counts[index] += value));
  return counts;
}
