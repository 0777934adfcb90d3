// The Launch page: hides fields that have no meaning, and suggests architectures while typing.

import { applies, matching } from "./lib/applies.js";

const SUGGESTIONS = 30;
const form = document.getElementById("launch-form");

function valueOf(path) {
  return form.elements.namedItem(path)?.value ?? "";
}

function showWhatApplies() {
  for (const field of form.querySelectorAll("[data-applies-when]")) {
    const isShown = applies(JSON.parse(field.dataset.appliesWhen), valueOf);
    field.hidden = !isShown;
    // A disabled control is not sent, so what was typed there cannot be refused.
    for (const control of field.querySelectorAll("input, select, textarea")) control.disabled = !isShown;
  }
}

form.addEventListener("input", showWhatApplies);
addEventListener("pageshow", showWhatApplies); // a browser restores values after going back
showWhatApplies();

const architecture = form.elements.namedItem("model.architecture");
const list = document.getElementById("architectures");
let names = null;

async function suggest() {
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
}

architecture.addEventListener("focus", suggest);
architecture.addEventListener("input", suggest);
