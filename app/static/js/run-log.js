// Searching the Run page's log: lines on the page at once, the rest of a long log by the server.

import { clock } from "./lib/format.js";
import { holds } from "./lib/search.js";

const PAUSE_MS = 300;

/** Follow the search field over `log`; return what tells whether a line is to be shown. */
export function followLogSearch(log, run) {
  const form = document.getElementById("log-form");
  const field = document.getElementById("log-search");
  const count = document.getElementById("log-count");
  const before = count.innerHTML;
  let timer = null;
  let asked = 0;
  form.querySelector("button").hidden = true;
  form.addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", () => {
    clearTimeout(timer);
    const found = filter();
    const text = field.value.trim();
    if (!text) {
      for (const line of log.querySelectorAll("[data-found]")) line.remove();
      count.innerHTML = before;
      return;
    }
    count.textContent = `${found} ${found === 1 ? "line holds" : "lines hold"} “${text}”.`;
    if (Number(count.dataset.total) > log.children.length) timer = setTimeout(askServer, PAUSE_MS);
  });

  function filter() {
    let found = 0;
    for (const line of log.children) {
      line.hidden = !holds(line.textContent, field.value);
      if (!line.hidden) found += 1;
    }
    return found;
  }

  async function askServer() {
    const mine = ++asked;
    const text = field.value.trim();
    const answer = await fetch(`/api/v1/runs/${run}/log?limit=500&q=${encodeURIComponent(text)}`);
    if (mine !== asked || !answer.ok) return;
    const { lines, total } = await answer.json();
    if (text !== field.value.trim()) return;
    for (const line of log.querySelectorAll("[data-found]")) line.remove();
    const shown = [...log.children].filter((line) => !line.hidden).length;
    log.prepend(...lines.slice(0, Math.max(0, lines.length - shown)).map(made));
    count.textContent = `${total} ${total === 1 ? "line holds" : "lines hold"} “${text}”${
      total > lines.length ? `; the newest ${lines.length}` : ""
    }.`;
  }

  return { holds: (line) => holds(line.textContent, field.value) };
}

function made({ time, level, message }) {
  const line = document.createElement("li");
  line.className = level;
  line.dataset.found = "yes";
  const when = document.createElement("time");
  when.dateTime = new Date(time * 1000).toISOString();
  when.textContent = clock(time);
  const text = document.createElement("span");
  text.textContent = message;
  line.append(when, text);
  return line;
}
