// The Compare page: curves of runs that still go on grow; the tables follow.

import { startCurves } from "./curves.js";
import { startMatrices } from "./confusion.js";
import { startGalleries } from "./gallery.js";
import { listen } from "./lib/live.js";
import { refresher } from "./lib/regions.js";
import { startPicker } from "./picker.js";
import { startSections } from "./sections.js";
import { startSharing } from "./share.js";
import { followVote } from "./vote.js";

const DRAWN = new Set(["epoch_finished", "steps_recorded", "rewound"]);
const REFRESHING = new Set([
  "state", "run_started", "epoch_finished", "evaluated", "run_finished", "run_failed", "rewound",
]);

const page = document.getElementById("compare");
const runs = JSON.parse(page.dataset.liveRuns);
const refresh = refresher(() => page.dataset.live + location.search);
const drawEvent = document.getElementById("curves") ? startCurves() : () => {};
startSections();
startGalleries();
startMatrices();
startPicker();
startSharing();
followVote();

if (Object.keys(runs).length) listen({ runs }, { run: take });

function take(event) {
  if (REFRESHING.has(event.kind)) refresh();
  if (DRAWN.has(event.kind)) drawEvent(event);
}
