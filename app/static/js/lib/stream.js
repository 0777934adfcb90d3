// One EventSource that serves a hub's tabs and comes back by itself.

import { Hub } from "./hub.js";

const TOPICS = ["runs", "datasets", "workers", "notices"];
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

/** Keep a stream open for the tabs of a hub; `deliver(tab, message)` hands messages over. */
export class SharedStream {
  #hub = new Hub();
  #url;
  #deliver;
  #open;
  #source = null;
  #failures = 0;
  #timer = null;
  #state = "connecting";

  constructor(url, deliver, open = (address) => new EventSource(address)) {
    this.#url = url;
    this.#deliver = deliver;
    this.#open = open;
  }

  subscribe(tab, wishes) {
    const mustReopen = this.#hub.subscribe(tab, wishes);
    if (mustReopen || !this.#source) this.#reopenSoon(0);
    else this.#deliver(tab, { type: "state", state: this.#state });
  }

  unsubscribe(tab) {
    this.#hub.unsubscribe(tab);
    if (this.#hub.isEmpty) this.close();
  }

  close() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#source?.close();
    this.#source = null;
  }

  #reopenSoon(delayMs) {
    if (this.#timer !== null) return;
    // Several tabs restored at once cause one opening, not eight.
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#reopen();
    }, delayMs);
  }

  #reopen() {
    this.#source?.close();
    this.#source = null;
    const query = this.#hub.query();
    if (!query) return;
    const source = this.#open(`${this.#url}?${query}`);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#failures = 0;
      this.#tell("open");
    });
    source.addEventListener("error", () => {
      if (this.#source !== source) return;
      // Reopened by us, not by the browser: our cursor knows what each tab has.
      source.close();
      this.#source = null;
      this.#tell("retrying");
      const delayMs = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)];
      this.#failures += 1;
      this.#reopenSoon(delayMs);
    });
    source.addEventListener("run", (message) => {
      if (this.#source !== source) return;
      const event = JSON.parse(message.data);
      for (const tab of this.#hub.takersOfEvent(event)) this.#deliver(tab, { type: "run", event });
    });
    for (const topic of TOPICS) {
      source.addEventListener(topic, (message) => {
        if (this.#source !== source) return;
        const data = JSON.parse(message.data);
        for (const tab of this.#hub.takersOfTopic(topic)) this.#deliver(tab, { type: topic, data });
      });
    }
  }

  #tell(state) {
    this.#state = state;
    for (const tab of this.#hub.tabs()) this.#deliver(tab, { type: "state", state });
  }
}
