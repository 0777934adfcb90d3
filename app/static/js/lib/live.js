// A page's side of live updates: through the shared worker, or alone where there is none.

import { SharedStream } from "./stream.js";

const PING_MS = 20_000;

/** Listen to runs ({id: last known seq}) and topics; `handlers` has run, state and one a topic, each
optional. `quiet` leaves the page's note about its connection alone. */
export function listen({ runs = {}, topics = [], quiet = false }, handlers) {
  const { stream: path, liveWorker } = document.body.dataset;
  const url = new URL(path, location.href).href;
  const known = { ...runs };
  const wishes = () => ({ runs: known, topics });
  const receive = (message) => {
    if (message.type === "run") {
      known[message.event.run] = message.event.seq;
      handlers.run?.(message.event);
    } else if (message.type === "state") {
      if (!quiet) showState(message.state);
      handlers.state?.(message.state);
    } else {
      handlers[message.type]?.(message.data);
    }
  };
  if ("SharedWorker" in window) listenShared(liveWorker, url, wishes, receive);
  else listenAlone(url, wishes, receive);
}

function listenShared(script, url, wishes, receive) {
  let port = null;
  const subscribe = () => {
    const worker = new SharedWorker(script, { type: "module", name: "tuneboard-live" });
    worker.addEventListener("error", () => {
      port = null;
      listenAlone(url, wishes, receive);
    });
    port = worker.port;
    port.addEventListener("message", ({ data }) => receive(data));
    port.start();
    port.postMessage({ type: "subscribe", url, wishes: wishes() });
  };
  subscribe();
  setInterval(() => port?.postMessage({ type: "ping" }), PING_MS);
  addEventListener("pagehide", () => port?.postMessage({ type: "leave" }));
  addEventListener("pageshow", (event) => {
    if (event.persisted) subscribe();
  });
}

let alone = null;

/** A stream for this page alone, closed while the tab is hidden: other tabs need the connections. */
function listenAlone(url, wishes, receive) {
  alone ??= new SharedStream(url, (take, message) => take(message));
  const stream = alone;
  const follow = () => {
    if (document.hidden) stream.close();
    else stream.subscribe(receive, wishes());
  };
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => event.persisted && follow());
  follow();
}

const WORDS = { open: "Live", retrying: "Connection lost, trying again", connecting: "Connecting" };

function showState(state) {
  for (const note of document.querySelectorAll("[data-live-note]")) {
    note.hidden = false;
    note.dataset.state = state;
    note.textContent = WORDS[state] ?? state;
  }
}
