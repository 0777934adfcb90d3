// Nothing typed is lost by a reload, a wrong turn or a crash: the form is kept in the browser until
// it is launched (`lib/kept.js` says when that is). A reload of the same address brings it back by itself; elsewhere it is offered.

import { describeDraft, differences, makeDraft, readDraft } from "./lib/draft.js";
import { DRAFT_KEY as KEY, SENT_KEY, read, write } from "./lib/kept.js";
import { fill } from "./launch-sync.js";

/** Keep `form` as it is typed into, and bring back what was kept. */
export function startDraft(form) {
  const notice = document.getElementById("launch-draft");
  const untouched = entriesOf(form);
  // A refused form comes back filled by the server.
  const draft = form.hasAttribute("data-refused") ? null : readDraft(read(KEY), Date.now());
  let offered = null;
  write(SENT_KEY, null);

  const keep = () => {
    if (offered) return; // until it is decided, what was kept earlier is not written over
    write(KEY, JSON.stringify(makeDraft(entriesOf(form), here(), Date.now())));
  };
  form.addEventListener("input", () => {
    decide();
    keep();
  });
  form.addEventListener("launch:synced", () => {
    if (differences(makeDraft(untouched, here(), 0), entriesOf(form)).some(([name]) => name !== "spec_yaml")) keep();
  });
  form.addEventListener("submit", (event) => {
    const tries = event.submitter?.hasAttribute("data-tries"); // a preflight launches nothing
    if (!event.defaultPrevented && !tries) write(SENT_KEY, "yes");
  });
  notice.querySelector("[data-draft-restore]").addEventListener("click", () => {
    restore(form, offered);
    decide();
    keep();
  });
  notice.querySelector("[data-draft-discard]").addEventListener("click", () => {
    if (offered) {
      decide();
    } else {
      restore(form, makeDraft(untouched, here(), Date.now()));
      notice.hidden = true;
    }
    write(KEY, null);
  });

  if (!draft) return;
  const changed = differences(draft, untouched);
  if (changed.length === 0) return;
  const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(draft.time);
  if (draft.address === here()) {
    restore(form, draft);
    tell(`What you typed is back, as it was ${when}.`, false);
  } else {
    offered = draft;
    tell(describeDraft(changed, when), true);
  }

  function tell(text, isOffer) {
    notice.querySelector("[data-draft-text]").textContent = text;
    notice.querySelector("[data-draft-restore]").hidden = !isOffer;
    notice.querySelector("[data-draft-discard]").textContent = isOffer ? "Discard it" : "Start afresh";
    notice.hidden = false;
  }

  function decide() {
    if (!offered) return;
    offered = null;
    notice.hidden = true;
  }
}

function restore(form, draft) {
  const ticked = new Set(draft.entries.map(([name, text]) => `${name}=${text}`));
  for (const control of form.querySelectorAll("[name]:is([type=checkbox], [type=radio])")) {
    control.checked = ticked.has(`${control.name}=${control.value}`);
  }
  fill(form, Object.fromEntries(draft.entries.filter(([name]) => name !== "base")));
  form.dispatchEvent(new CustomEvent("launch:restored", { detail: { entries: draft.entries } }));
  form.dispatchEvent(new CustomEvent("launch:filled"));
  form.dispatchEvent(new CustomEvent("launch:ask"));
}

function entriesOf(form) {
  // A field that does not apply is disabled and not sent, but what was typed there is kept too.
  return [...form.elements]
    .filter((control) => control.name && control.type !== "submit" && control.type !== "button")
    .filter((control) => !["checkbox", "radio"].includes(control.type) || control.checked)
    .map((control) => [control.name, control.value]);
}

function here() {
  return location.pathname + location.search;
}
