// The Run page: curves grow, the bar moves, the log follows, parts refresh when something ends.

import { drawEvent } from "./charts.js";
import { startMatrices } from "./confusion.js";
import { startGalleries } from "./gallery.js";
import { clock } from "./lib/format.js";
import { listen } from "./lib/live.js";
import { progressView } from "./lib/progress.js";
import { refresher } from "./lib/regions.js";
import { followLogSearch } from "./run-log.js";
import { addSample } from "./run-resources.js";
import { startSections } from "./sections.js";

const DRAWN = new Set(["epoch_finished", "steps_recorded", "rewound"]);
const REFRESHING = new Set([
  "state", "run_started", "epoch_finished", "warning", "evaluated", "run_finished", "run_failed", "rewound",
]);
const QUEUE_LOOK_MS = 5000;
const LOG_LIMIT = 1000;

const page = document.getElementById("run");
const refresh = refresher(() => page.dataset.live + location.search);
const refreshDownloads = refresher(() => document.getElementById("downloads").dataset.live);
const EXPORT_LOOK_MS = 1500;
setInterval(() => {
  if (document.querySelector("#downloads[data-goes-on]") && !document.hidden) refreshDownloads();
}, EXPORT_LOOK_MS);
startMatrices();
startGalleries();
startSections();

if (!page.dataset.ended) {
  listen({ runs: { [page.dataset.run]: Number(page.dataset.seq) } }, { run: take });
  setInterval(() => {
    // The place in the queue depends on other runs, whose events this page does not hear.
    if (document.getElementById("run-head").dataset.status === "queued" && !document.hidden) refresh();
  }, QUEUE_LOOK_MS);
}
const log = document.getElementById("log");
const searched = followLogSearch(log, page.dataset.run);
for (const time of log.querySelectorAll("time")) {
  time.textContent = clock(Date.parse(time.dateTime) / 1000); // the server writes UTC
}
log.scrollTop = log.scrollHeight;

function take(event) {
  if (event.kind === "progress") showProgress(event.payload);
  if (event.kind === "resources") addSample(event);
  if (event.kind === "log") addLine(event.time, event.payload.level, event.payload.message);
  if (event.kind === "warning") addLine(event.time, "warning", told(event.payload));
  if (event.kind === "run_failed") addLine(event.time, "error", told(event.payload));
  if (REFRESHING.has(event.kind)) refresh();
  if (DRAWN.has(event.kind)) drawEvent(event);
}

function told({ title, detail, remedy }) {
  return `${title}: ${detail} ${remedy}`.trimEnd();
}

function showProgress(payload) {
  const view = progressView(payload);
  const head = document.getElementById("run-head");
  const set = (name, text) => {
    const place = head.querySelector(`[data-field="${name}"]`);
    if (place) place.textContent = text;
  };
  set("epochs", `Epoch ${view.epochs}`);
  for (const name of ["phase", "step", "speed", "eta", "elapsed"]) set(name, view[name]);
  const bar = head.querySelector('progress[data-field="bar"]');
  if (bar) bar.value = view.fraction;
}

function addLine(time, level, message) {
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  log.querySelector("[data-empty]")?.remove();
  const line = document.createElement("li");
  line.className = level;
  const when = document.createElement("time");
  when.dateTime = new Date(time * 1000).toISOString();
  when.textContent = clock(time);
  const text = document.createElement("span");
  if (level !== "info") {
    const mark = document.createElement("b");
    mark.textContent = `${level[0].toUpperCase()}${level.slice(1)}: `;
    text.append(mark);
  }
  text.append(message);
  line.append(when, text);
  line.hidden = !searched.holds(line);
  log.append(line);
  while (log.children.length > LOG_LIMIT) log.firstElementChild.remove();
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}
