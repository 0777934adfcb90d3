// The shared worker: one stream to the server for every tab of this browser.
//
// A browser allows six HTTP/1.1 connections to one host; a stream a tab would use them up.

import { SharedStream } from "./lib/stream.js";

const SILENT_MS = 180_000; // a hidden tab's timers may run once a minute
const heardAt = new Map();
let stream = null;

addEventListener("connect", ({ ports: [port] }) => {
  heardAt.set(port, Date.now());
  port.addEventListener("message", ({ data }) => {
    heardAt.set(port, Date.now());
    if (data.type === "subscribe") {
      stream ??= new SharedStream(data.url, (tab, message) => tab.postMessage(message));
      stream.subscribe(port, data.wishes);
    }
    if (data.type === "leave") leave(port);
  });
  port.addEventListener("close", () => leave(port));
  port.start();
});

setInterval(() => {
  for (const [port, time] of heardAt) {
    if (Date.now() - time > SILENT_MS) leave(port);
  }
}, 30_000);

function leave(port) {
  heardAt.delete(port);
  stream?.unsubscribe(port);
}
