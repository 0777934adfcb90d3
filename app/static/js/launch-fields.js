// The form's fields: hides those without a meaning, says which parts hold something, and suggests
// architectures while typing.

import { applies, matching } from "./lib/applies.js";

const SUGGESTIONS = 30;

/** Follow what is typed into `form`. */
export function startFields(form) {
  const show = () => {
    showWhatApplies(form);
    countGiven(form);
  };
  form.addEventListener("input", show);
  form.addEventListener("launch:filled", show);
  addEventListener("pageshow", show); // a browser restores values after going back
  show();
  suggestArchitectures(form);
  openForTarget();
  addEventListener("hashchange", openForTarget);
  form.addEventListener("invalid", ({ target }) => open(target), true); // else it cannot be focused
}

/** Return the control of a field of the spec. */
export function controlOf(form, path) {
  return form.elements.namedItem(path);
}

function showWhatApplies(form) {
  const valueOf = (path) => controlOf(form, path)?.value ?? "";
  for (const field of form.querySelectorAll("[data-applies-when]")) {
    const isShown = applies(JSON.parse(field.dataset.appliesWhen), valueOf);
    field.hidden = !isShown;
    // A disabled control is not sent, so what was typed there cannot be refused.
    for (const control of field.querySelectorAll("input, select, textarea")) control.disabled = !isShown;
  }
}

function countGiven(form) {
  for (const part of form.querySelectorAll(".launch-part")) {
    const given = [...part.querySelectorAll("[data-path]:not([hidden])")].filter((field) => {
      const control = controlOf(form, field.dataset.path);
      return control && control.value.trim() !== field.dataset.default;
    });
    part.querySelector("[data-given]").textContent = given.length ? `· ${given.length} set` : "";
  }
}

function openForTarget() {
  if (location.hash.length > 1) open(document.getElementById(location.hash.slice(1)));
}

/** Unfold whatever hides a control. */
export function open(control) {
  for (let part = control?.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
}

function suggestArchitectures(form) {
  const architecture = controlOf(form, "model.architecture");
  const list = document.getElementById("architectures");
  let names = null;
  const suggest = async () => {
    try {
      names ??= fetch(`${form.dataset.architectures}?limit=5000`).then(async (answer) => {
        if (!answer.ok) throw new Error(String(answer.status));
        return (await answer.json()).architectures.map((found) => found.name);
      });
      const fitting = matching(await names, architecture.value, SUGGESTIONS);
      list.replaceChildren(...fitting.map((name) => new Option("", name)));
    } catch {
      names = null; // suggestions are a help only; the server checks the name
    }
  };
  architecture.addEventListener("focus", suggest);
  architecture.addEventListener("input", suggest);
}
