// The Studies page: fetched again when a run changes its state.

import { listen } from "./lib/live.js";
import { refresher } from "./lib/regions.js";

const LOOK_MS = 3_000; // while a study goes on with no run that would tell of it
const region = () => document.getElementById("studies-region");
const refresh = refresher(() => region().dataset.live, 2_000);
const known = new Map();

listen({ topics: ["runs"] }, { runs: ({ runs }) => take(runs) });
setInterval(() => !document.hidden && "looks" in region().dataset && refresh(), LOOK_MS);

function take(runs) {
  const changed = runs.filter((run) => run.study_id && known.get(run.id) !== run.status);
  for (const run of changed) known.set(run.id, run.status);
  if (changed.length) refresh();
}
