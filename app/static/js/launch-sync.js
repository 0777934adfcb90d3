// Keeps the form, the YAML and the summary in step: after each change the server is asked what was
// typed says in the other's terms. Tells the page with "launch:synced" events on the form.

import { controlOf, open } from "./launch-fields.js";

const PAUSE_MS = 250;

/** Follow `form`, which holds the fields and the YAML. */
export function startSync(form) {
  const yaml = document.getElementById("spec-yaml");
  const follow = form.querySelector("[data-yaml-follow]");
  const state = { source: "form", timer: null, asking: null, yamlIsWrong: yaml.ariaInvalid === "true" };

  const later = () => {
    clearTimeout(state.timer);
    state.timer = setTimeout(() => ask(form, yaml, state), PAUSE_MS);
  };
  form.addEventListener("input", ({ target }) => {
    if (target.hasAttribute("data-unsynced")) return;
    if (target === yaml) state.source = "yaml";
    else if (!state.yamlIsWrong) state.source = "form";
    later();
  });
  follow.addEventListener("click", () => {
    state.source = "form";
    state.yamlIsWrong = false;
    ask(form, yaml, state);
  });
  form.addEventListener("launch:ask", () => ask(form, yaml, state));
  form.addEventListener("submit", async (event) => {
    // Text that has not been read yet, or cannot be, must not be passed over in silence.
    if (state.source !== "yaml" || (!state.yamlIsWrong && state.timer === null)) return;
    event.preventDefault();
    const { submitter } = event;
    await ask(form, yaml, state);
    if (!state.yamlIsWrong) form.requestSubmit(submitter);
    else yaml.focus();
  });
  follow.hidden = !state.yamlIsWrong;
  if (state.yamlIsWrong) state.source = "yaml";
  else ask(form, yaml, state);
}

async function ask(form, yaml, state) {
  clearTimeout(state.timer);
  state.timer = null;
  state.asking?.abort();
  const mine = new AbortController();
  state.asking = mine;
  const body = new URLSearchParams(new FormData(form));
  body.set("source", state.source);
  const summary = document.getElementById("launch-summary");
  try {
    const answer = await fetch(form.dataset.sync, { method: "POST", body, signal: mine.signal });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const told = await answer.json();
    if (state.asking !== mine) return;
    show(form, yaml, state, told);
  } catch (error) {
    if (error.name !== "AbortError") summary.dataset.stale = "";
  }
}

function show(form, yaml, state, told) {
  const summary = document.getElementById("launch-summary");
  delete summary.dataset.stale;
  summary.innerHTML = told.summary;
  summary.dispatchEvent(new CustomEvent("tuneboard:swapped", { bubbles: true })); // times become local
  state.yamlIsWrong = state.source === "yaml" && told.values === null;
  if (told.yaml !== null) yaml.value = told.yaml;
  if (told.values) {
    fill(form, told.values);
    form.dispatchEvent(new CustomEvent("launch:filled"));
  }
  showYamlState(form, yaml, state, told);
  if (!state.yamlIsWrong) showNotes(form, told.notes);
  form.dispatchEvent(
    new CustomEvent("launch:synced", { detail: { spec: told.spec, errors: told.errors, source: state.source } }),
  );
}

/** Put values (path → text) into the form's controls. */
export function fill(form, values) {
  for (const [path, text] of Object.entries(values)) {
    const control = controlOf(form, path);
    if (!control || control.value === text || !("value" in control) || control.type === "checkbox") continue;
    control.value = text;
    if (control.value !== text && control.tagName === "SELECT") {
      control.append(new Option(text, text, false, true)); // a dataset that is not here, say
    }
  }
}

function showYamlState(form, yaml, state, told) {
  form.querySelector("[data-yaml-follow]").hidden = !state.yamlIsWrong;
  const place = document.getElementById("yaml-state");
  if (!state.yamlIsWrong) {
    yaml.removeAttribute("aria-invalid");
    place.replaceChildren();
    return;
  }
  yaml.setAttribute("aria-invalid", "true");
  const text = document.createElement("p");
  text.className = "small";
  text.textContent = "The form keeps what it had until the YAML is mended.";
  const list = document.createElement("ul");
  list.className = "yaml-wrong";
  list.append(
    ...told.errors.map((error) => {
      const item = document.createElement("li");
      item.textContent = error.message;
      return item;
    }),
  );
  place.replaceChildren(list, text);
}

/** Put what is wrong (path → markup of the server's) beside its field, and take away what is not. */
function showNotes(form, notes) {
  for (const field of form.querySelectorAll("[data-path]")) {
    const control = controlOf(form, field.dataset.path);
    const markup = notes[field.dataset.path];
    field.querySelector(".error")?.remove();
    if (!control) continue;
    const described = new Set((control.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean));
    described.delete(`${control.id}-error`);
    if (markup) {
      described.add(`${control.id}-error`);
      field.querySelector(".help").insertAdjacentHTML("beforebegin", markup);
      control.setAttribute("aria-invalid", "true");
      open(control);
    } else control.removeAttribute("aria-invalid");
    control.setAttribute("aria-describedby", [...described].join(" "));
  }
}
