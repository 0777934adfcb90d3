// A study's page: its parts are fetched again when one of its runs changes its state.

import { duration, percent } from "./lib/format.js";
import { listen } from "./lib/live.js";
import { refresher } from "./lib/regions.js";
import { startSections } from "./sections.js";

const LOOK_MS = 3_000; // no run tells of the end of a vote or of a delivery
const ANALYSIS_MS = 4_000;
const head = () => document.getElementById("study-head");
const analysis = () => document.getElementById("analysis");
const refresh = refresher(() => head().dataset.live);
const analyse = refresher(() => analysis().dataset.part, ANALYSIS_MS);
const known = new Map();

startSections();
document.addEventListener("tuneboard:swapped", ({ target }) => {
  if (target.id === "analysis") target.dataset.loaded = "yes";
});
keepTyped();
listen({ topics: ["runs"] }, { runs: ({ runs }) => take(runs) });
setInterval(() => !document.hidden && "looks" in head().dataset && refresh(), LOOK_MS);

function take(runs) {
  const own = runs.filter((run) => run.study_id === Number(head().dataset.study));
  const changed = own.filter((run) => known.get(run.id) !== run.status);
  for (const run of changed) known.set(run.id, run.status);
  for (const run of own) update(run);
  if (changed.length) refresh();
  const isNews = changed.some((run) => run.status === "succeeded");
  if (isNews && analysis().dataset.loaded) analyse();
}

function update(run) {
  const row = document.querySelector(`#study-members tr[data-run="${run.id}"]`);
  if (!row) return;
  const set = (name, text) => (row.querySelector(`[data-field="${name}"]`).textContent = text);
  set("best", percent(run.metrics.val_accuracy?.best ?? NaN, 2));
  set("epochs", `${run.epoch} / ${run.epochs}`);
  set("elapsed", duration(run.elapsed_s ?? NaN));
}

/** What is typed into the note survives a reload until it is saved. */
function keepTyped() {
  const form = document.querySelector("form[data-keep]");
  const text = form.elements.note;
  const key = `tuneboard-${form.dataset.keep}`;
  const saved = text.defaultValue;
  const draft = sessionStorage.getItem(key);
  if (draft !== null && draft !== saved && text.value === saved) {
    text.value = draft;
    form.closest("details").open = true;
  }
  text.addEventListener("input", () => sessionStorage.setItem(key, text.value));
  form.addEventListener("submit", () => sessionStorage.removeItem(key));
}
