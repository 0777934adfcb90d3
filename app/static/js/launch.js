// The Launch page: puts its parts to work. Each is told the form and listens to its events; how to
// add another is written down in docs/launching.md.

import { startChanges } from "./launch-changes.js";
import { startDraft } from "./launch-draft.js";
import { startFields } from "./launch-fields.js";
import { startMany } from "./launch-many.js";
import { startStart } from "./launch-start.js";
import { startSync } from "./launch-sync.js";

const form = document.getElementById("launch-form");

startFields(form);
startChanges(form);
startSync(form);
startStart(form);
startMany(form);
startDraft(form);
