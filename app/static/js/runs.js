// The Runs page: rows follow the stream; a run's arrival or change of state fetches the table.

import { duration, percent } from "./lib/format.js";
import { listen } from "./lib/live.js";
import { refresher } from "./lib/regions.js";

const region = () => document.getElementById("runs-region");
const lookedFor = new Set();
const refresh = refresher(() => region().dataset.table);

listen({ topics: ["runs"] }, { runs: ({ runs, gone }) => take(runs, gone) });
document.addEventListener("change", ({ target }) => {
  if (target.name === "run") showSelection();
});
document.addEventListener("tuneboard:swapped", showSelection);
showSelection();

function take(runs, gone) {
  const isFirstPage = region().dataset.first === "yes";
  let mustRefresh = gone?.some((id) => row(id)) ?? false;
  for (const run of runs) {
    const known = row(run.id);
    if (!known) mustRefresh ||= isFirstPage && run.id > newest() && isNews(run);
    else if (known.dataset.status !== run.status || run.status === "queued") mustRefresh = true;
    else update(known, run);
  }
  if (mustRefresh) refresh();
}

/** A run that the page's filter leaves out is looked for once in each of its states. */
function isNews(run) {
  const key = `${run.id} ${run.status}`;
  const isNew = !lookedFor.has(key);
  lookedFor.add(key);
  return isNew;
}

function row(id) {
  return document.querySelector(`tr[data-run="${id}"]`);
}

function newest() {
  const rows = [...document.querySelectorAll("tr[data-run]")];
  return Math.max(0, ...rows.map((known) => Number(known.dataset.run)));
}

function update(known, run) {
  const set = (name, text) => {
    const place = known.querySelector(`[data-field="${name}"]`);
    if (place) place.textContent = text;
  };
  set("best", percent(run.metrics.val_accuracy?.best ?? NaN, 2));
  set("epochs", `${run.epoch} / ${run.epochs}`);
  set("elapsed", duration(run.elapsed_s ?? NaN));
  const bar = known.querySelector('progress[data-field="bar"]');
  if (bar && run.progress && run.status !== "succeeded") bar.value = run.progress.fraction;
}

function showSelection() {
  const hint = document.getElementById("compare-hint");
  const button = document.getElementById("compare-button");
  if (!hint) return;
  const count = document.querySelectorAll('input[name="run"]:checked').length;
  button.textContent = count > 1 ? `Compare ${count} runs` : "Compare selected";
  hint.hidden = count > 1;
}
