// A dataset's duplicates: the part follows the job that looks for them.

import { refresher } from "./lib/regions.js";

const LOOK_MS = 1000;

const region = () => document.getElementById("duplicates");
const refresh = refresher(() => region().dataset.live);

setInterval(() => {
  if (region() && "busy" in region().dataset) refresh();
}, LOOK_MS);
