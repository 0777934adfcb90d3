// Ways to begin without losing what is typed: the guide and a file fill the form in its place.

import { fill } from "./launch-sync.js";

/** Take over the guide and the file of the page that `form` is on. */
export function startStart(form) {
  const guide = document.getElementById("guide-form");
  guide.addEventListener("submit", (event) => {
    event.preventDefault();
    takeAdvice(form, guide);
  });
  form.addEventListener("input", ({ target }) => {
    if (target.name === "dataset.name") guide.elements.namedItem("dataset").value = target.value;
  });

  const file = document.getElementById("spec-file");
  document.querySelector("[data-file-button]").hidden = true;
  file.addEventListener("change", () => takeFile(file.files[0]));
  const yaml = document.getElementById("spec-yaml");
  yaml.addEventListener("dragover", (event) => event.preventDefault());
  yaml.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return; // text that is dragged drops by itself
    event.preventDefault();
    takeFile(event.dataTransfer.files[0]);
  });

  async function takeFile(chosen) {
    if (!chosen) return;
    yaml.value = await chosen.text();
    yaml.dispatchEvent(new Event("input", { bubbles: true }));
    yaml.scrollIntoView({ block: "nearest" });
  }
}

async function takeAdvice(form, guide) {
  const place = document.querySelector("[data-advice]");
  const answers = new URLSearchParams(new FormData(guide));
  try {
    // Not `guide.dataset`: the form has a control of that name.
    const answer = await fetch(`${guide.getAttribute("data-guide")}?${answers}`);
    if (!answer.ok) throw new Error(String(answer.status));
    const told = await answer.json();
    place.innerHTML = told.advice;
    // What other answers had set goes back to its default; all the rest stays as it is typed.
    const values = { ...told.defaults, ...told.values };
    fill(form, values);
    form.dispatchEvent(new CustomEvent("launch:filled"));
    const now = Object.fromEntries([...new FormData(form)].filter(([, text]) => typeof text === "string"));
    form.dispatchEvent(new CustomEvent("launch:based", { detail: { token: told.token, values: { ...now, ...values } } }));
    form.dispatchEvent(new CustomEvent("launch:ask"));
    history.replaceState(history.state, "", `${guide.getAttribute("action")}?${answers}`);
  } catch {
    guide.submit(); // the page itself knows the way, and says what is wrong
  }
}
