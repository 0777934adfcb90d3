// The picker of runs: the list follows what is typed; what is ticked stays in it.

const PAUSE_MS = 200;
const form = document.querySelector("[data-picker]");

/** Search as one types, and say how many runs are ticked. */
export function startPicker() {
  if (!form) return;
  let timer = null;
  form.querySelector("[data-search]").hidden = true;
  form.elements.find.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE_MS);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target !== form.elements.find) return;
    event.preventDefault(); // the list has followed already
    search();
  });
  form.addEventListener("change", showTicked);
  showTicked();
}

let latest = 0;

async function search() {
  const mine = ++latest;
  const query = new URLSearchParams(location.search);
  query.set("find", form.elements.find.value);
  const answer = await fetch(`${form.dataset.picker}?${query}`, { headers: { Accept: "text/html" } });
  if (!answer.ok || mine !== latest) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = document.importNode(page.getElementById("picker-list"), true);
  const kept = document.createElement("ul");
  for (const box of ticked()) {
    fresh.querySelector(`input[name="${box.name}"][value="${box.value}"]`)?.closest("li").remove();
    kept.append(box.closest("li"));
  }
  if (kept.children.length) fresh.prepend(kept);
  document.getElementById("picker-list").replaceWith(fresh);
}

function ticked() {
  return [...form.querySelectorAll("input[type=checkbox]:checked")];
}

function showTicked() {
  const count = ticked().length;
  form.querySelector("[data-ticked]").textContent = count ? `${count} ticked` : "";
}
