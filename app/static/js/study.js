// A study's page: its steps are fetched again when one of its runs changes its state.

import { listen } from "./lib/live.js";
import { refresher } from "./lib/regions.js";

const VOTE_LOOK_MS = 3_000; // no run tells of the end of a vote
const region = () => document.getElementById("study-steps");
const refresh = refresher(() => region().dataset.live);
const known = new Map();

listen({ topics: ["runs"] }, { runs: ({ runs }) => take(runs) });
setInterval(() => !document.hidden && "voting" in region().dataset && refresh(), VOTE_LOOK_MS);

function take(runs) {
  const study = Number(region().dataset.study);
  const changed = runs.filter((run) => run.study_id === study && known.get(run.id) !== run.status);
  for (const run of changed) known.set(run.id, run.status);
  if (changed.length) refresh();
}
