// Marks the fields that differ from what the form was started from, each with a way back.

import { controlOf, open } from "./launch-fields.js";

/** Follow `form` against its base, where it has one. */
export function startChanges(form) {
  let base = JSON.parse(document.getElementById("launch-base").textContent);
  const mark = () => {
    if (base) markChanges(form, base);
  };
  form.addEventListener("input", mark);
  form.addEventListener("launch:filled", mark);
  form.addEventListener("launch:based", ({ detail }) => {
    base = detail.values;
    form.elements.namedItem("base").value = detail.token;
    mark();
  });
  form.addEventListener("click", ({ target }) => {
    const path = target.dataset?.undo;
    if (path === undefined) return;
    const control = controlOf(form, path);
    control.value = base[path] ?? "";
    control.focus();
    control.dispatchEvent(new Event("input", { bubbles: true }));
  });
  mark();
}

function markChanges(form, base) {
  for (const field of form.querySelectorAll("[data-path]")) {
    const path = field.dataset.path;
    const control = controlOf(form, path);
    const before = base[path] ?? "";
    const isChanged = control && !field.hidden && control.value.trim() !== before.trim();
    const old = field.querySelector("[data-was]");
    field.classList.toggle("field-changed", Boolean(isChanged));
    if (!isChanged) {
      old?.remove();
      continue;
    }
    if (old?.dataset.was === before) continue;
    old?.remove();
    field.querySelector(".help").before(noteOf(field, path, before));
    if (document.activeElement !== control) open(control);
  }
}

function noteOf(field, path, before) {
  const note = document.createElement("p");
  note.className = "was small";
  note.dataset.was = before;
  note.append("Changed; it was ");
  const value = document.createElement("b");
  value.textContent = before || "empty";
  const undo = document.createElement("button");
  undo.type = "button";
  undo.className = "button-quiet button-small";
  undo.dataset.undo = path;
  undo.textContent = "Undo";
  undo.setAttribute("aria-label", `Undo: ${field.querySelector("label").textContent.trim()}`);
  note.append(value, ". ", undo);
  return note;
}
