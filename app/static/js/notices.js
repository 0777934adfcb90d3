// Notices on every page when a run or study ends, fed by the stream that all tabs share.
//
// Which tab tells: the first visible one, under a lock; a hidden one only if none did. What was
// told is kept in the browser, so a reload or another tab does not tell it again.

import { asToasts, readMemory, takeNews } from "./lib/notices.js";
import { listen } from "./lib/live.js";
import { setUpMenu } from "./notices-menu.js";

const MEMORY = "tuneboard-notices";
const CHOICE = "tuneboard-notices-choice";
const HIDDEN_WAITS_MS = 1500;

/** Listen, and set up the choice of what is told. */
export function followNotices() {
  const { owner } = document.body.dataset;
  if (!owner || !storage()) return;
  keep(MEMORY, JSON.stringify(memory())); // from the first page on
  setUpMenu({ choice, keep: (changes) => keep(CHOICE, JSON.stringify({ ...choice(), ...changes })) });
  listen({ topics: ["notices"], quiet: true }, { notices: ({ notices }) => hear(notices, owner) });
}

function hear(ended, owner) {
  if (!takeNews(ended, memory(), { owner, ...choice() }).news.length && !document.hidden) {
    tell(ended, owner); // nothing to show, but it counts as told
    return;
  }
  setTimeout(() => tell(ended, owner), document.hidden ? HIDDEN_WAITS_MS : 0);
}

async function tell(ended, owner) {
  const take = () => {
    const { news, memory: after } = takeNews(ended, memory(), { owner, ...choice() });
    keep(MEMORY, JSON.stringify(after));
    return news;
  };
  // Locks need a secure context; without them two tabs may both tell, once in a long while.
  const news = navigator.locks ? await navigator.locks.request(MEMORY, take) : take();
  for (const toast of asToasts(news)) {
    show(toast);
    notify(toast);
  }
}

function show({ text, url, tone }) {
  const box = document.createElement("div");
  box.className = `toast toast-${tone}`;
  const said = document.createElement("p");
  const link = document.createElement("a");
  link.href = url;
  link.textContent = text;
  said.append(link);
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button-small button-quiet";
  close.textContent = "Dismiss";
  close.setAttribute("aria-label", `Dismiss: ${text}`);
  close.addEventListener("click", () => box.remove());
  box.append(said, close);
  document.getElementById("toasts").append(box);
}

function notify({ text, url }) {
  if (!wantsOutside() || Notification.permission !== "granted") return;
  try {
    const notice = new Notification("Tuneboard", { body: text, tag: url });
    notice.addEventListener("click", () => {
      window.focus();
      location.assign(url);
    });
  } catch {
    // Phones allow notices of service workers only; the one in the page stays.
  }
}

function wantsOutside() {
  return choice().outside === true && "Notification" in window;
}

function choice() {
  const usual = { whose: "mine", members: false, outside: false };
  try {
    return { ...usual, ...JSON.parse(storage().getItem(CHOICE)) };
  } catch {
    return usual;
  }
}

function memory() {
  return readMemory(storage().getItem(MEMORY), Date.now() / 1000);
}

function keep(key, text) {
  try {
    storage().setItem(key, text);
  } catch {
    // A full or forbidden storage: notices may come again after a reload.
  }
}

function storage() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
