// A preflight: the part follows the job that tries the spec; once it is launched from here, the
// form's draft is done with.

import { SENT_KEY, write } from "./lib/kept.js";
import { refresher } from "./lib/regions.js";

const LOOK_MS = 1000;

const region = () => document.getElementById("preflight");
const refresh = refresher(() => region().dataset.live);

setInterval(() => {
  if (region() && "busy" in region().dataset) refresh();
}, LOOK_MS);

document.getElementById("preflight-launch").addEventListener("submit", ({ submitter }) => {
  if (submitter.hasAttribute("data-launch")) write(SENT_KEY, "yes");
});
