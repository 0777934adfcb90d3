// The Workers page: fetched again when workers or runs change, and now and then for the ages.

import { listen } from "./lib/live.js";
import { refresher } from "./lib/regions.js";

const AGES_MS = 10_000;
const refresh = refresher(() => document.getElementById("workers-region").dataset.live);

listen({ topics: ["workers", "runs"] }, { workers: refresh, runs: refresh });
setInterval(() => !document.hidden && refresh(), AGES_MS);
