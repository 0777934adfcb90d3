// The Studies page: fetched again when a run changes its state.

import { listen } from "./lib/live.js";
import { refresher } from "./lib/regions.js";

const refresh = refresher(() => document.getElementById("studies-region").dataset.live, 2_000);
const known = new Map();

listen({ topics: ["runs"] }, { runs: ({ runs }) => take(runs) });

function take(runs) {
  const changed = runs.filter((run) => run.study_id && known.get(run.id) !== run.status);
  for (const run of changed) known.set(run.id, run.status);
  if (changed.length) refresh();
}
