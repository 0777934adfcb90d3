// The Runs page: rows follow the stream; a run's arrival or change of state fetches the table.

import { completeFilter } from "./filter-box.js";
import { duration, percent } from "./lib/format.js";
import { listen } from "./lib/live.js";
import { refresher } from "./lib/regions.js";
import { tidyQuery } from "./lib/address.js";

const CALM_MS = 5000; // between fetches that only figures of running runs ask for

const region = () => document.getElementById("runs-region");
const known = new Map(); // status of every run heard of
const refresh = refresher(() => region().dataset.table);
let calm = null;

listen({ topics: ["runs"] }, { runs: ({ runs, gone }) => take(runs, gone) });
document.addEventListener("change", ({ target }) => {
  if (target.name === "run") showSelection();
});
document.addEventListener("tuneboard:swapped", showSelection);
document.addEventListener("submit", leaveOutWhatIsEmpty);
completeFilter(document.getElementById("filter-text"));
showSelection();

function take(runs, gone) {
  let mustRefresh = gone?.some((id) => row(id)) ?? false;
  for (const run of runs) {
    const before = known.get(run.id);
    known.set(run.id, stateOf(run));
    const shown = row(run.id);
    if (shown) {
      if (shown.dataset.status !== run.status || run.status === "queued") mustRefresh = true;
      else update(shown, run);
    }
    // A run that is not shown may belong here now; those from before this page were looked at.
    else if (before === undefined ? run.id > newest() : before !== stateOf(run)) mustRefresh = true;
    if (before !== undefined && before !== stateOf(run)) mustRefresh = true;
  }
  if (mustRefresh) refresh();
}

/** What decides whether a run is listed, and how, whatever its figures. */
function stateOf(run) {
  return [run.status, run.archived_at !== null, run.pinned, run.tags.join(","), run.note].join("\n");
}

function row(id) {
  return document.querySelector(`tr[data-run="${id}"]`);
}

function newest() {
  return Number(region().dataset.newest);
}

function update(shown, run) {
  const set = (name, text) => {
    const place = shown.querySelector(`[data-field="${name}"]`);
    if (place) place.textContent = text;
  };
  for (const cell of shown.querySelectorAll("[data-metric]")) {
    const value = run.metrics[cell.dataset.metric]?.[cell.dataset.stat];
    if (value === undefined || value === null) continue;
    cell.textContent = "percent" in cell.dataset ? percent(value, 2) : String(Number(value.toPrecision(4)));
  }
  set("epochs", `${run.epoch} / ${run.epochs}`);
  set("elapsed", duration(run.elapsed_s ?? NaN));
  const bar = shown.querySelector('progress[data-field="bar"]');
  if (bar && run.progress && run.status !== "succeeded") bar.value = run.progress.fraction;
  if (Number(shown.dataset.epoch) === run.epoch) return;
  shown.dataset.epoch = run.epoch;
  // Curves have grown, and the order or the filter may depend on the new figures.
  if (shown.querySelector(".spark-cell") || "depends" in region().dataset) refreshCalmly();
}

function refreshCalmly() {
  calm ??= setTimeout(() => {
    calm = null;
    refresh();
  }, CALM_MS);
}

function showSelection() {
  const hint = document.getElementById("compare-hint");
  const button = document.getElementById("compare-button");
  if (!hint) return;
  const count = document.querySelectorAll('input[name="run"]:checked').length;
  button.textContent = count > 1 ? `Compare ${count} runs` : "Compare selected";
  hint.hidden = count > 1;
  for (const other of document.querySelectorAll("[data-needs-one]")) other.disabled = count === 0;
}

/** An address holds what was asked for, and not every empty field of the form. */
function leaveOutWhatIsEmpty(event) {
  const form = event.target;
  if (form.id !== "filter-form" && !form.closest("#columns-details")) return;
  event.preventDefault();
  location.assign(form.action + tidyQuery(new FormData(form), ["columns"]));
}
