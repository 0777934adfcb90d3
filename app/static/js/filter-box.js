// The filter's text field with its list of what may stand at the cursor: a combobox.

import { completed, completions } from "./lib/complete.js";

/** Help with writing a filter into `input`; its fields are fetched when it is first used. */
export function completeFilter(input) {
  const list = document.getElementById("filter-options");
  if (!input || !list) return;
  let fields = null;
  let found = { start: 0, end: 0, options: [] };
  let chosen = -1;

  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", list.id);
  input.setAttribute("aria-expanded", "false");

  input.addEventListener("focus", load);
  input.addEventListener("input", show);
  input.addEventListener("click", show);
  input.addEventListener("blur", hide);
  input.addEventListener("keydown", follow);
  list.addEventListener("mousedown", (event) => {
    event.preventDefault(); // the field keeps the focus
    const option = event.target.closest("[role=option]");
    if (option) take(Number(option.dataset.place));
  });

  async function load() {
    if (fields) return;
    fields = [];
    try {
      const answer = await fetch(input.dataset.fields, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      fields = (await answer.json()).fields;
      if (document.activeElement === input) show();
    } catch (error) {
      fields = null; // asked for again at the next focus
      console.warn("The filter's words could not be loaded:", error);
    }
  }

  function show() {
    if (!fields?.length || input.selectionStart !== input.selectionEnd) return hide();
    found = completions(input.value, input.selectionStart, fields);
    chosen = -1;
    list.replaceChildren(...found.options.map(line));
    list.hidden = !found.options.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark();
  }

  function line({ text, note }, place) {
    const item = document.createElement("li");
    item.id = `filter-option-${place}`;
    item.setAttribute("role", "option");
    item.dataset.place = place;
    const name = document.createElement("span");
    name.className = "mono";
    name.textContent = text;
    item.append(name);
    if (note) {
      const about = document.createElement("span");
      about.className = "faint small";
      about.textContent = note;
      item.append(about);
    }
    return item;
  }

  function hide() {
    list.hidden = true;
    chosen = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark() {
    for (const [place, item] of [...list.children].entries()) {
      item.setAttribute("aria-selected", String(place === chosen));
      if (place === chosen) item.scrollIntoView({ block: "nearest" });
    }
    if (chosen < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", `filter-option-${chosen}`);
  }

  function take(place) {
    const next = completed(input.value, found, found.options[place]);
    input.value = next.text;
    input.setSelectionRange(next.place, next.place);
    show();
  }

  function follow(event) {
    if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      hide();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (list.hidden) return show();
      event.preventDefault();
      const count = found.options.length;
      chosen = event.key === "ArrowDown" ? (chosen + 1) % count : (chosen <= 0 ? count : chosen) - 1;
      mark();
    } else if ((event.key === "Enter" || event.key === "Tab") && !list.hidden && chosen >= 0) {
      event.preventDefault();
      take(chosen);
    }
  }
}
