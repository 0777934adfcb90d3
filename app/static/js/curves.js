// The Compare page's curves: fetched packed, drawn by Plotly; cursor, legend and address are ours.

import { CONFIG, themedLayout } from "./charts.js";
import { Cursor } from "./cursor.js";
import { notes, tableRows } from "./lib/curve-words.js";
import { extended, unpacked } from "./lib/packed.js";
import { pointsOf } from "./lib/points.js";
import { curveLayout, curveTraces, SHARED_FROM, X_TITLES, zoomed } from "./lib/traces.js";
import { readView, withView, writeView } from "./lib/view.js";
import { groupLooks, Legend } from "./legend.js";
import { fillTable } from "./table.js";

const section = document.getElementById("curves");
const told = section ? JSON.parse(document.getElementById("curves-told").textContent) : null;
const controls = document.getElementById("curves-controls");
const REFETCH_MS = 2_000;
const REDRAW_MS = 250;

let view = readView(location.search);
let figures = [];
let legend = null;

/** Draw the chosen figures and follow the controls; return what takes a live run's events. */
export function startCurves() {
  const cards = [...section.querySelectorAll("[data-family]")];
  figures = cards.map((card) => new CurveFigure(card, told.families.find(({ key }) => key === card.dataset.family)));
  legend = new Legend(document.getElementById("curves-legend"), runLooks(), { highlight, pin });
  followControls();
  keepLinks();
  refresh();
  return takeEvent;
}

function runLooks() {
  return new Map(told.runs.map((run) => [run.id, run]));
}

function labels() {
  return new Map(told.runs.map((run) => [run.id, run.label]));
}

function shownFigures() {
  const chosen = view.metrics.length ? view.metrics : told.chosen;
  return figures.filter((figure) => chosen.includes(figure.family.key));
}

/** Bring every shown figure up to the view, one after the other: the first is there soonest. */
async function refresh() {
  const shown = shownFigures();
  for (const figure of figures) figure.card.hidden = !shown.includes(figure);
  document.getElementById("curves-reset").disabled =
    view.from === null && view.to === null && !Object.keys(view.limits).length;
  for (const figure of shown) await figure.show();
}

function change(next) {
  view = { ...view, ...next };
  history.replaceState(history.state, "", location.pathname + writeView(location.search, view) + location.hash);
  refresh();
}

function followControls() {
  let timer = null;
  const read = () => {
    timer = null;
    const form = new FormData(controls);
    const metrics = form.getAll("metric");
    const isUsual = metrics.length === told.chosen.length && view.metrics.length === 0 && metrics.every((key, index) => key === told.chosen[index]);
    const next = {
      metrics: isUsual ? [] : metrics,
      lines: form.get("lines"),
      x: form.get("x"),
      y: form.get("y"),
      smooth: Number(form.get("smooth")),
      group: form.get("group"),
      band: form.get("band"),
    };
    // A part of one axis is none of another's.
    if (next.x !== view.x) Object.assign(next, { from: null, to: null });
    if (next.group !== view.group) next.pin = null;
    document.getElementById("curves-smooth-value").textContent = next.smooth || "0";
    document.getElementById("curves-band-control").hidden = !next.group;
    change(next);
  };
  controls.addEventListener("input", () => {
    timer ??= setTimeout(read, 30);
  });
  controls.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("curves-reset").addEventListener("click", () => change({ from: null, to: null, limits: {} }));
}

/** Links and forms that lead to this page again keep what the curves show. */
function keepLinks() {
  const follow = ({ target }) => {
    const link = target.closest?.("a[href]");
    if (link && new URL(link.href).pathname === location.pathname && link.getAttribute("href")[0] !== "#") {
      link.href = withView(link.href, location.search);
    }
  };
  for (const kind of ["pointerdown", "focusin", "click"]) document.addEventListener(kind, follow, true);
  document.addEventListener("formdata", ({ target, formData }) => {
    const changesAddress = target === controls || target.matches("[data-view-form]"); // by themselves
    if (changesAddress || target.method !== "get" || new URL(target.action).pathname !== location.pathname) return;
    // Hidden fields hold the address of when the page was made; it may have changed since.
    const asked = new Set([...target.elements].filter((field) => field.type !== "hidden").map((field) => field.name));
    const now = new URLSearchParams(location.search);
    for (const key of new Set([...formData.keys(), ...now.keys()])) {
      if (key === "run" || asked.has(key)) continue;
      formData.delete(key);
      for (const value of now.getAll(key)) formData.append(key, value);
    }
  });
}

function highlight(owner) {
  for (const figure of shownFigures()) figure.cursor.highlight(owner ?? view.pin);
}

function pin(owner) {
  view = { ...view, pin: view.pin === owner ? null : owner };
  history.replaceState(history.state, "", location.pathname + writeView(location.search, view) + location.hash);
  legend.showPinned(view.pin);
  highlight(null);
}

function takeEvent(event) {
  for (const figure of figures) figure.take(event);
}

class CurveFigure {
  #asked = "";
  #abort = null;
  #timer = null;

  constructor(card, family) {
    this.card = card;
    this.family = family;
    this.plot = card.querySelector(".curve-plot");
    this.answer = null;
    this.curves = [];
    this.looks = runLooks();
    this.box = card.querySelector(".curve-box");
    this.cursor = new Cursor(this.box, this.plot, () => ({
      curves: this.curves,
      looks: this.looks,
      family: this.family,
      view,
    }));
    card.querySelector("[data-points]").addEventListener("toggle", () => this.#fillTable());
  }

  /** Fetch what the view asks for, unless it is here already, and draw it. */
  async show() {
    const asked = this.#question();
    if (asked !== this.#asked && !(await this.#fetch(asked))) return;
    await this.draw();
  }

  async draw() {
    const Plotly = await plotly();
    if (this.card.hidden) return;
    const traces = curveTraces({ curves: this.curves, looks: this.looks, family: this.family, smooth: view.smooth });
    const isFirst = !this.plot.data;
    await Plotly.react(this.plot, traces, themedLayout(curveLayout(this.family, view)), CONFIG);
    performance.mark("curves-drawn");
    if (isFirst) {
      // Hundreds of smooth lines would cost a dragged figure half of its frames.
      this.plot.on("plotly_relayouting", () => this.box.classList.toggle("is-moving", this.looks.size >= SHARED_FROM));
      this.plot.on("plotly_relayout", (event) => {
        this.box.classList.remove("is-moving");
        this.#zoom(event);
      });
    }
    this.#say(this.curves.length ? "" : this.#emptyWords());
    this.card.querySelector("[data-note]").textContent = notes(this.answer, this.curves, labels()) || "\u00a0";
    this.cursor.redraw(view.pin);
    this.#fillTable();
  }

  /** Add what a live run's event holds, or ask anew where that cannot be done here. */
  take(event) {
    if (!this.answer || this.card.hidden) {
      this.#asked = "";
      return;
    }
    const isWhole = !view.group && view.x !== "wall" && view.from === null && view.to === null;
    if (event.kind === "rewound" || !isWhole) {
      this.#later(REFETCH_MS, () => {
        this.#asked = "";
        this.show();
      });
      return;
    }
    for (const metric of this.#metrics()) {
      const points = pointsOf(event, { run: event.run, series: metric, x: view.x });
      if (!points.length) continue;
      const index = this.curves.findIndex((curve) => curve.run === event.run && curve.metric === metric);
      const empty = new Float32Array();
      const before = this.curves[index] ?? { run: event.run, metric, x: empty, y: empty, points: 0, total: 0, last_step: -1, ends_at: null, best: null };
      const grown = extended(before, points);
      if (index >= 0) this.curves[index] = grown;
      else this.curves.push(grown);
      this.#later(REDRAW_MS, () => this.draw());
    }
  }

  #later(pauseMs, work) {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      work();
    }, pauseMs);
  }

  #metrics() {
    const { train, val } = this.family;
    const wanted = { both: [train, val], val: [val ?? train], train: [train ?? val] }[view.lines];
    return wanted.filter(Boolean);
  }

  #question() {
    const query = new URLSearchParams(told.runs.map((run) => ["run", run.id]));
    for (const metric of this.#metrics()) query.append("metric", metric);
    if (view.x !== "epoch") query.set("x", view.x);
    if (view.from !== null) query.set("from", view.from);
    if (view.to !== null) query.set("to", view.to);
    if (view.group) {
      query.set("group", view.group);
      query.set("band", view.band);
    }
    return query.toString();
  }

  async #fetch(asked) {
    this.#abort?.abort();
    this.#abort = new AbortController();
    try {
      const response = await fetch(`${section.dataset.curves}?${asked}`, { signal: this.#abort.signal });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.detail);
      this.answer = answer;
      this.curves = unpacked(answer);
      this.looks = answer.groups ? groupLooks(answer.groups) : runLooks();
      legend.show(this.looks, view.pin);
      this.#asked = asked;
      return true;
    } catch (error) {
      if (error.name !== "AbortError") this.#say(`The curves could not be loaded: ${error.message} Reload the page to try again.`);
      return false;
    }
  }

  #zoom(event) {
    const next = zoomed(view, this.family, event);
    if (next) change(next);
  }

  #say(message) {
    const place = this.card.querySelector("[data-message]");
    place.textContent = message;
    place.hidden = !message;
  }

  #emptyWords() {
    return told.runs.some((run) => run.is_live)
      ? "No values yet; they appear as the runs report them."
      : `None of these runs recorded ${this.family.title.toLowerCase()}.`;
  }

  #fillTable() {
    const details = this.card.querySelector("[data-points]");
    if (!details.open) return;
    const rows = tableRows(this.curves, this.looks, this.family, X_TITLES[view.x]);
    fillTable(details.querySelector("[data-table]"), `${this.family.title} of the runs`, rows);
  }
}

function plotly() {
  if (window.Plotly) return window.Plotly;
  return new Promise((resolve) => {
    const script = document.querySelector('script[src*="/plotly-"]');
    script.addEventListener("load", () => resolve(window.Plotly));
  });
}
