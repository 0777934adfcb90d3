// What every page does: the theme, local times, figures, copy buttons.

import { drawFigures, dropFigures, rethemeFigures } from "./charts.js";
import { followFigureFiles } from "./figure-files.js";
import { forgetLaunched } from "./lib/kept.js";
import { followNotices } from "./notices.js";

const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  return root.dataset.theme ?? (dark.matches ? "dark" : "light");
}

function setUpTheme() {
  const button = document.querySelector("[data-theme-toggle]");
  const text = button.querySelector("[data-theme-text]");
  const show = () => {
    text.textContent = theme() === "dark" ? "Dark" : "Light";
    button.setAttribute("aria-label", `Theme: ${theme()}. Switch to the other.`);
  };
  button.hidden = false;
  show();
  button.addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("tuneboard-theme", root.dataset.theme);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    show();
    rethemeFigures();
  });
  dark.addEventListener("change", () => {
    show();
    rethemeFigures();
  });
  addEventListener("storage", ({ key, newValue }) => {
    if (key !== "tuneboard-theme" || !newValue) return;
    root.dataset.theme = newValue;
    show();
    rethemeFigures();
  });
}

function showLocalTimes(part) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const element of part.querySelectorAll("time[data-local]")) {
    const time = new Date(element.dateTime);
    element.textContent = format.format(time);
    element.title = time.toISOString();
  }
}

function setUpCopying() {
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("[data-copy]");
    if (!button) return;
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Press Ctrl+C";
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    }
  });
  showCopying(document);
}

function showCopying(part) {
  for (const button of part.querySelectorAll("[data-copy]")) button.hidden = false;
}

/** Colours come as data: a style attribute would need a laxer content security policy. */
function paintSwatches(part) {
  for (const swatch of part.querySelectorAll("[data-colour]")) {
    swatch.style.background = swatch.dataset.colour;
  }
}

function setUpConfirming() {
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  });
}

setUpTheme();
setUpCopying();
setUpConfirming();
forgetLaunched(location.pathname);
followFigureFiles();
followNotices();
showLocalTimes(document);
paintSwatches(document);
drawFigures();
document.addEventListener("tuneboard:leaving", ({ target }) => dropFigures(target));
document.addEventListener("tuneboard:swapped", ({ target }) => {
  showLocalTimes(target);
  paintSwatches(target);
  showCopying(target);
  drawFigures(target);
});
document.querySelector("[data-error-summary]")?.focus();
