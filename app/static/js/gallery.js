// Images of an evaluation: arrow keys step through them, Enter opens one in a dialog.

const STEPS = { ArrowRight: 1, ArrowLeft: -1, j: 1, k: -1 };
let dialog = null;
let opened = null;

/** Follow the galleries of this page, those that come later included. */
export function startGalleries() {
  document.addEventListener("click", ({ target }) => {
    const shot = target.closest?.("[data-shot]");
    if (shot) open(shot);
  });
  document.addEventListener("keydown", step);
  // An image that is gone says so; such events do not bubble, so they are caught on their way.
  document.addEventListener("error", ({ target }) => target.closest?.(".shot-image") && gone(target), true);
}

function step(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const shot = dialog?.open ? opened : event.target.closest?.("[data-shot]");
  if (!shot) return;
  const next = event.key in STEPS ? neighbour(shot, STEPS[event.key]) : vertical(shot, event.key);
  if (!next) return;
  event.preventDefault();
  if (dialog?.open) open(next);
  else next.focus();
}

function shots(shot) {
  return [...shot.closest(".gallery").querySelectorAll("[data-shot]")];
}

function neighbour(shot, by) {
  const all = shots(shot);
  return all[all.indexOf(shot) + by];
}

/** Return the image above or below, where the gallery has columns. */
function vertical(shot, key) {
  if (dialog?.open || !["ArrowUp", "ArrowDown"].includes(key)) return null;
  const all = shots(shot);
  const top = all[0].getBoundingClientRect().top;
  const columns = all.filter((one) => one.getBoundingClientRect().top === top).length;
  return neighbour(shot, key === "ArrowDown" ? columns : -columns);
}

function open(shot) {
  dialog ??= made();
  opened = shot;
  const image = shot.querySelector("img");
  const large = document.createElement(image ? "img" : "p");
  if (image) Object.assign(large, { src: image.dataset.large, alt: `Class: ${shot.querySelector(".shot-label").textContent}` });
  else large.textContent = "The image is no longer here.";
  const more = shot.parentElement.querySelector(".shot-more").cloneNode(true);
  more.hidden = false;
  dialog.querySelector(".viewer-body").replaceChildren(large, more);
  for (const [name, by] of [["before", -1], ["after", 1]]) {
    dialog.querySelector(`[data-go="${name}"]`).disabled = !neighbour(shot, by);
  }
  const all = shots(shot);
  dialog.querySelector(".viewer-place").textContent = `${all.indexOf(shot) + 1} of ${all.length} on this page`;
  if (!dialog.open) dialog.showModal();
}

function made() {
  const element = document.createElement("dialog");
  element.className = "viewer";
  element.setAttribute("aria-label", "Image");
  const bar = document.createElement("div");
  bar.className = "actions";
  const place = document.createElement("span");
  place.className = "viewer-place small soft push";
  place.setAttribute("role", "status");
  bar.append(button("Previous", "before", () => open(neighbour(opened, -1))));
  bar.append(button("Next", "after", () => open(neighbour(opened, 1))));
  bar.append(place, button("Close", "close", () => element.close()));
  const body = document.createElement("div");
  body.className = "viewer-body";
  element.append(bar, body);
  element.addEventListener("click", ({ target }) => target === element && element.close());
  element.addEventListener("close", () => opened?.focus());
  document.body.append(element);
  return element;
}

function button(text, name, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "button-small";
  made.textContent = text;
  made.dataset.go = name;
  made.addEventListener("click", act);
  return made;
}

function gone(image) {
  const note = document.createElement("span");
  note.className = "small faint";
  note.textContent = "No longer here";
  image.replaceWith(note);
}
