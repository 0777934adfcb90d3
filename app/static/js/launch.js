// The Launch page: puts its parts to work. Each is told the form and listens to its events; how to
// add another is written down in docs/launching.md.

import { startFields } from "./launch-fields.js";
import { startMany } from "./launch-many.js";
import { startSync } from "./launch-sync.js";

const form = document.getElementById("launch-form");

startFields(form);
startSync(form);
startMany(form);
