// The Workers page: fetched again when workers or runs change, and now and then for the ages.
// The queue's rows are dragged, or moved with their buttons without leaving the page.

import { dropPlace } from "./lib/order.js";
import { listen } from "./lib/live.js";
import { refresher } from "./lib/regions.js";

const AGES_MS = 10_000;
const region = () => document.getElementById("workers-region");
const swap = refresher(() => region().dataset.live);
let dragged = null;

const refresh = () => dragged === null && swap(); // rows stay where they are under the pointer

listen({ topics: ["workers", "runs"] }, { workers: refresh, runs: refresh });
setInterval(() => !document.hidden && refresh(), AGES_MS);
document.addEventListener("tuneboard:swapped", makeDraggable);
document.addEventListener("submit", followButton);
makeDraggable();

function rows() {
  return [...document.querySelectorAll("[data-queued]")];
}

function makeDraggable() {
  for (const row of rows()) row.draggable = true;
}

document.addEventListener("dragstart", (event) => {
  const row = event.target.closest?.("[data-queued]");
  if (!row || event.target.closest("a")) return;
  dragged = row.dataset.queued;
  row.classList.add("is-moved");
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", dragged);
});

document.addEventListener("dragover", (event) => {
  const place = dragged !== null && placeAt(event);
  if (!place) return;
  event.preventDefault();
  unmark();
  const side = place.before ? "before" : "after";
  document.getElementById(`queue-${place[side]}`)?.classList.add(`drop-${side}`);
});

document.addEventListener("drop", (event) => {
  const place = dragged !== null && placeAt(event);
  if (!place) return;
  event.preventDefault();
  const run = dragged;
  endDrag();
  move({ run, ...place });
});

document.addEventListener("dragend", endDrag);

function placeAt(event) {
  if (!event.target.closest?.("#queue")) return null;
  const boxes = rows().map((row) => {
    const { top, height } = row.getBoundingClientRect();
    return { id: row.dataset.queued, top, height };
  });
  return dropPlace(boxes, dragged, event.clientY);
}

function endDrag() {
  dragged = null;
  unmark();
  for (const row of rows()) row.classList.remove("is-moved");
}

function unmark() {
  for (const row of rows()) row.classList.remove("drop-before", "drop-after");
}

function followButton(event) {
  const { target: form, submitter } = event;
  if (!form.classList.contains("move-buttons") || !submitter) return;
  event.preventDefault();
  move({ run: form.elements.run.value, [submitter.name]: submitter.value }, submitter.id);
}

async function move(where, focusId = null) {
  const said = document.getElementById("queue-said");
  const name = document.querySelector(`#queue-${where.run} th a`)?.textContent ?? where.run;
  const body = new URLSearchParams({ ...where, csrf_token: csrf() });
  const answer = await fetch(region().dataset.move, { method: "POST", body });
  if (answer.ok) {
    said.textContent = `${name} was moved.`;
  } else {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    said.textContent = page.querySelector("#content .lead")?.textContent ?? `${name} could not be moved.`;
  }
  if (focusId) document.addEventListener("tuneboard:swapped", () => focusAgain(focusId, where.run), { once: true });
  swap();
}

/** A button at the queue's end is disabled: then its row's other one has the focus. */
function focusAgain(id, run) {
  const button = document.getElementById(id);
  if (button && !button.disabled) button.focus();
  else document.querySelector(`#queue-${run} button:not(:disabled)`)?.focus();
}

function csrf() {
  return document.querySelector('meta[name="csrf-token"]').content;
}
