// Is the gateway there, and what does it say? One stream of events, opened again whenever it breaks.

const SILENCE_MS = 5000;
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 5000;
/** Out of sight for so long, the page stops listening: browsers have few connections for each address. */
const UNSEEN_MS = 60000;

/**
 * Keeps listening. `heard.overview(document)` and `heard.decisions(list, first)`; `heard.state` is told
 * "live", "polling" (too many listen, so it asks instead), "paused" (nobody looks) or "lost".
 */
export class Stream {
  constructor(heard) {
    this.heard = heard;
    this.source = null;
    this.pause = FIRST_PAUSE_MS;
    this.again = 0;
    this.seen = Date.now();
    this.unseen = 0;
    setInterval(() => this.watch(), 1000);
    document.addEventListener("visibilitychange", () => this.sight());
    this.open();
  }

  open() {
    clearTimeout(this.again);
    this.again = 0;
    const source = new EventSource("api/live?interval=1");
    let first = true;
    this.source = source;
    this.seen = Date.now();
    source.addEventListener("overview", (event) => {
      this.seen = Date.now();
      this.pause = FIRST_PAUSE_MS;
      this.heard.state("live");
      this.heard.overview(JSON.parse(event.data));
    });
    source.addEventListener("decisions", (event) => {
      this.heard.decisions(JSON.parse(event.data).decisions, first);
      first = false;
    });
    source.addEventListener("error", () => this.broken(source));
  }

  sight() {
    clearTimeout(this.unseen);
    if (document.hidden) this.unseen = setTimeout(() => this.rest(), UNSEEN_MS);
    else if (this.source === null) this.open();
  }

  rest() {
    clearTimeout(this.again);
    this.again = 0;
    this.source?.close();
    this.source = null;
    this.heard.state("paused");
  }

  /** Nothing came for a while: a connection may stand and be dead, as through a tunnel that hangs. */
  watch() {
    if (this.source !== null && this.again === 0 && Date.now() - this.seen > SILENCE_MS) this.broken(this.source);
  }

  async broken(source) {
    if (source !== this.source || this.again !== 0) return;
    source.close();
    const pause = this.pause;
    this.pause = Math.min(pause * 1.5, MAX_PAUSE_MS);
    this.again = setTimeout(() => this.open(), pause);
    this.seen = Date.now();
    const answered = await this.poll();
    if (!answered && this.source !== null) this.heard.state("lost");
  }

  async poll() {
    try {
      const answer = await fetch("api/overview", { signal: AbortSignal.timeout(SILENCE_MS) });
      if (!answer.ok) return false;
      const document = await answer.json();
      this.heard.state("polling");
      this.heard.overview(document);
      return true;
    } catch {
      return false;
    }
  }
}
