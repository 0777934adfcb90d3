// Parts of the page that the server renders again: fetched, compared, and swapped in place.

const PRESS_MS = 2000; // a press is shorter; a drag may leave its element active

/** Return a function that refreshes the regions from `url`, at most once every `pauseMs`. */
export function refresher(url, pauseMs = 1000) {
  let timer = null;
  let running = false;
  let again = false;
  const run = async () => {
    timer = null;
    running = true;
    again = false;
    try {
      await swapRegions(url());
    } catch (error) {
      console.warn("The page's parts could not be refreshed:", error);
    }
    running = false;
    if (again) timer = setTimeout(run, pauseMs);
  };
  return () => {
    if (running) again = true;
    else timer ??= setTimeout(run, 60);
  };
}

async function swapRegions(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(`${answer.status} from ${url}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  await released();
  for (const region of fresh.querySelectorAll("[data-region]")) {
    const old = document.getElementById(region.id);
    if (old && old.dataset.source !== region.outerHTML) swap(old, region);
  }
}

/** Wait while a key or button is down on a part: an element replaced in mid-press is never clicked. */
export async function released() {
  const patience = performance.now() + PRESS_MS;
  while (document.querySelector(":is([data-region], [data-part]) :active") && performance.now() < patience) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Let a part that takes another's place have what was opened, typed and ticked there. */
export function carryOver(old, fresh) {
  const same = (element) => fresh.querySelector(`#${CSS.escape(element.id)}`);
  for (const part of old.querySelectorAll("details[open][id]")) same(part)?.setAttribute("open", "");
  for (const field of old.querySelectorAll("input[id], select[id], textarea[id]")) {
    const again = same(field);
    if (!again || !wasChanged(field)) continue;
    if (field.type === "file") again.replaceWith(field);
    else if (isTick(field)) again.checked = field.checked;
    else again.value = field.value;
  }
}

function swap(old, region) {
  const source = region.outerHTML;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  old.dispatchEvent(new CustomEvent("tuneboard:leaving", { bubbles: true }));
  const fresh = document.importNode(region, true);
  fresh.dataset.source = source;
  carryOver(old, fresh);
  old.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  fresh.dispatchEvent(new CustomEvent("tuneboard:swapped", { bubbles: true, detail: { isNews: true } }));
}

function isTick(field) {
  return field.type === "checkbox" || field.type === "radio";
}

function wasChanged(field) {
  if (isTick(field)) return field.checked !== field.defaultChecked;
  if (field.tagName !== "SELECT") return field.value !== field.defaultValue;
  return [...field.options].some((option) => option.selected !== option.defaultSelected);
}
