// How does a backend stand? A word, a symbol and a tone, so that colour is never needed to tell.

const STATES = {
  up: { symbol: "●", tone: "good" },
  starting: { symbol: "◐", tone: "calm" },
  draining: { symbol: "◇", tone: "calm" },
  resting: { symbol: "◔", tone: "warn" },
  full: { symbol: "■", tone: "warn" },
  slow: { symbol: "◑", tone: "warn" },
  ejected: { symbol: "▲", tone: "bad" },
  down: { symbol: "✕", tone: "bad" },
};

/** {word, symbol, tone, out, why}; `why` is what put it out of work or into its state, without the word. */
export function standing(backend) {
  const out = backend.excluded !== null;
  let word = backend.state;
  if (word === "up" || word === "starting") {
    if (out) word = backend.excluded.startsWith("full") ? "full" : "resting";
    else if (backend.degraded) word = "slow";
  }
  const { symbol, tone } = STATES[word] ?? { symbol: "?", tone: "warn" };
  return { word, symbol, tone, out, why: without(word, backend.excluded ?? backend.why) };
}

/** "down: no answer" beside the word down is "no answer"; "ejected for 3 s" is "for 3 s". */
function without(word, why) {
  if (why.startsWith(`${word}: `)) return why.slice(word.length + 2);
  return why.startsWith(`${word} for `) ? why.slice(word.length + 1) : why;
}

/** Those that need somebody's eye first. */
export const RANK = ["down", "ejected", "resting", "draining", "full", "slow", "starting", "up"];
