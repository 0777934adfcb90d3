// A preflight: the part follows the job that tries the spec.

import { refresher } from "./lib/regions.js";

const LOOK_MS = 1000;

const region = () => document.getElementById("preflight");
const refresh = refresher(() => region().dataset.live);

setInterval(() => {
  if (region() && "busy" in region().dataset) refresh();
}, LOOK_MS);
