// "Many at once": writes fields and values into the space's YAML, and shows the count and the names
// of the runs as they are typed.

import { spaceText, withField } from "./lib/space.js";

const PAUSE_MS = 300;

/** Follow what is typed into `form`. */
export function startMany(form) {
  const many = form.querySelector("[data-many]");
  const space = document.getElementById("many_space");
  const state = { timer: null, asking: null };
  const later = () => {
    if (!many.open) return;
    clearTimeout(state.timer);
    state.timer = setTimeout(() => ask(form, many, state), PAUSE_MS);
  };
  form.addEventListener("input", later);
  form.addEventListener("launch:filled", later);
  many.addEventListener("toggle", later);
  many.querySelector("[data-many-show]").hidden = true;
  startAdding(many, space, later);
  later();
}

function startAdding(many, space, later) {
  const path = document.getElementById("many-path");
  const values = document.getElementById("many-values");
  const wrong = many.querySelector("[data-many-wrong]");
  many.querySelector("[data-many-add]").hidden = false;
  const put = () => {
    const text = spaceText(values.value);
    wrong.textContent = text === null ? "Type values, such as 0.1, 0.01, or a range, such as 0.001 .. 0.1 log." : "";
    if (text === null) {
      values.focus();
      return;
    }
    space.value = withField(space.value, path.value, text);
    values.value = "";
    space.dispatchEvent(new Event("input", { bubbles: true })); // a draft is kept of it
    path.focus();
    later();
  };
  many.querySelector("[data-many-put]").addEventListener("click", put);
  values.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // it would launch one run
    put();
  });
}

async function ask(form, many, state) {
  state.asking?.abort();
  const mine = new AbortController();
  state.asking = mine;
  const place = document.getElementById("many-preview");
  try {
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(many.dataset.preview, { method: "POST", body, signal: mine.signal });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const markup = await answer.text();
    if (state.asking !== mine) return;
    place.innerHTML = markup;
    const count = place.querySelector("[data-many-count]")?.dataset.manyCount;
    const button = many.querySelector("[data-many-launch]");
    button.textContent = count ? `Launch ${count} run${count === "1" ? "" : "s"} as one study` : "Launch them as one study";
  } catch (error) {
    if (error.name !== "AbortError") place.textContent = "The server does not answer; what is typed is kept.";
  }
}
