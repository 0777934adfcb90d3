// The heavier parts of the Compare and Run pages: fetched when they come near, and again when the part of the
// address that they depend on changes. Their links and forms are ordinary ones to the same page.

import { drawFigures } from "./charts.js";
import { changedKeys, withKeys } from "./lib/address.js";
import { carryOver, released } from "./lib/regions.js";

const PARTS = "[data-part][data-keys]"; // others follow addresses of their own
const NEAR_PX = 400;
const PAUSE_MS = 1500;

const loading = new Map();
let known = location.search;
let timer = null;

/** Load the parts as they come near, and follow their links and forms. */
export function startSections() {
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        load(target.id);
      }
    },
    { rootMargin: `${NEAR_PX}px` },
  );
  const follow = (section) => (section.dataset.loaded ? whenDrawable(section) : near.observe(section));
  sections().forEach(follow);
  document.addEventListener("tuneboard:swapped", ({ target }) => {
    // A region that the server rendered again may have brought parts along.
    if (!target.matches(PARTS)) target.querySelectorAll(PARTS).forEach(follow);
  });
  document.addEventListener("click", followLink);
  document.addEventListener("change", followForm);
  document.addEventListener("submit", followForm);
  addEventListener("popstate", () => update());
  document.addEventListener("tuneboard:swapped", ({ target, detail }) => {
    // New results of a run that still goes on are news for the parts as well.
    if (target.id !== "compare-results" || !detail?.isNews) return;
    clearTimeout(timer);
    const others = () => loaded().filter((section) => section.id !== target.id);
    timer = setTimeout(() => others().forEach((section) => load(section.id)), PAUSE_MS);
  });
}

/** Show another view: change some parameters of the address, and what depends on them. */
export function show(parameters, anchor = "") {
  const search = withKeys(location.search, parameters);
  if (search !== location.search) history.pushState(history.state, "", location.pathname + search + location.hash);
  const done = update();
  if (!anchor) return;
  const place = document.getElementById(anchor);
  place?.scrollIntoView({ block: "start" });
  if (place?.dataset.part && !place.dataset.loaded && !loading.has(anchor)) done.push(load(anchor));
  Promise.all(done).then(() => {
    const title = document.getElementById(`${anchor}-title`);
    title?.scrollIntoView({ block: "nearest" });
    title?.focus({ preventScroll: true });
  });
}

function update() {
  const changed = changedKeys(known, location.search);
  known = location.search;
  return loaded()
    .filter((section) => section.dataset.keys.split(" ").some((key) => changed.has(key)))
    .map((section) => load(section.id));
}

function sections() {
  return [...document.querySelectorAll(PARTS)];
}

function loaded() {
  return sections().filter((section) => section.dataset.loaded || loading.has(section.id));
}

function followLink(event) {
  const link = event.target.closest?.("a[data-view]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  // The link was made for the address of its time: only what it changes there is changed here.
  const wanted = new URL(link.href).search;
  const changed = changedKeys(link.closest(PARTS).dataset.search, wanted);
  const values = new URLSearchParams(wanted);
  show(Object.fromEntries([...changed].map((key) => [key, values.getAll(key)])), link.dataset.view);
}

function followForm(event) {
  const form = event.target.closest?.("form[data-view-form]");
  if (!form) return;
  event.preventDefault();
  const resets = (form.dataset.resets ?? "").split(" ").filter(Boolean);
  const parameters = Object.fromEntries(resets.map((key) => [key, []]));
  for (const { name } of form.elements) if (name) parameters[name] = [];
  for (const field of form.querySelectorAll("[data-kept]")) delete parameters[field.name];
  for (const [name, value] of new FormData(form)) if (value) parameters[name]?.push(value);
  show(parameters);
}

async function load(id) {
  loading.get(id)?.abort();
  const mine = new AbortController();
  loading.set(id, mine);
  const section = document.getElementById(id);
  section.setAttribute("aria-busy", "true");
  const search = location.search;
  let fresh;
  try {
    const answer = await fetch(section.dataset.part + search, {
      headers: { Accept: "text/html" },
      signal: mine.signal,
    });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    fresh = answer.ok ? page.getElementById(id) : null;
    if (!fresh) throw new Error(page.querySelector("#content .lead")?.textContent || `status ${answer.status}`);
    await released();
    mine.signal.throwIfAborted();
  } catch (error) {
    if (error.name !== "AbortError") fail(id, error);
    return;
  }
  loading.delete(id);
  swap(section, fresh, search);
}

function swap(section, fresh, search) {
  const focused = section.contains(document.activeElement) ? document.activeElement.id : null;
  section.dispatchEvent(new CustomEvent("tuneboard:leaving", { bubbles: true }));
  const next = document.importNode(fresh, true);
  next.dataset.loaded = "yes";
  next.dataset.search = search;
  if ("region" in next.dataset) next.dataset.source = fresh.outerHTML; // news of the same is no news
  carryOver(section, next);
  section.replaceWith(next);
  if (focused !== null) {
    const again = focused && document.getElementById(focused);
    (again || document.getElementById(`${next.id}-title`))?.focus({ preventScroll: true });
  }
  next.dispatchEvent(new CustomEvent("tuneboard:swapped", { bubbles: true }));
  whenDrawable(next);
}

function whenDrawable(section) {
  if (window.Plotly) tellDrawn(section);
  else addEventListener("load", () => tellDrawn(section), { once: true });
}

function tellDrawn(section) {
  drawFigures(section);
  section.dispatchEvent(new CustomEvent("tuneboard:drawn", { bubbles: true }));
}

function fail(id, error) {
  loading.delete(id);
  const section = document.getElementById(id);
  section.removeAttribute("aria-busy");
  const notice = document.createElement("div");
  notice.className = "notice notice-bad";
  notice.setAttribute("role", "alert");
  const text = document.createElement("p");
  text.textContent = `This part could not be loaded: ${error.message}`;
  const again = document.createElement("button");
  again.type = "button";
  again.className = "button-small";
  again.textContent = "Try again";
  again.addEventListener("click", () => load(id));
  notice.append(text, again);
  section.querySelector("[data-loading]")?.remove();
  section.querySelector(".notice-bad")?.remove();
  section.append(notice);
}
