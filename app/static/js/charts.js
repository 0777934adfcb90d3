// Draws the page's figures, gives them the page's colours, and adds live points.

import { extension, rewound } from "./lib/points.js";
import { addBrushes } from "./parallel.js";

export const CONFIG = {
  responsive: true,
  displaylogo: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  // Nothing of Plotly's may speak to another host.
  showEditInChartStudio: false,
  showSendToCloud: false,
};

/** Draw every figure below `root` that is not drawn yet. */
export function drawFigures(root = document) {
  for (const plot of root.querySelectorAll(".plot[data-figure]")) {
    if (plot.dataset.drawn || !window.Plotly) continue;
    plot.dataset.drawn = "true";
    const { data, layout } = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    for (const trace of data) if (trace.type === "heatmap") trace.textfont = { color: cellInk() };
    window.Plotly.newPlot(plot, data, themedLayout(layout), CONFIG);
    if (plot.closest(".parallel") && data.length) addBrushes(plot);
  }
}

/** Let go of the figures below `root`, which is about to leave the page. */
export function dropFigures(root) {
  for (const plot of root.querySelectorAll(".plot[data-drawn]")) window.Plotly?.purge(plot);
}

/** Give every drawn figure the colours of the page's present theme. */
export function rethemeFigures() {
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const heat = plot.data.flatMap((trace, index) => (trace.type === "heatmap" ? [index] : []));
    if (heat.length) window.Plotly.restyle(plot, { "textfont.color": cellInk() }, heat);
    window.Plotly.relayout(plot, flat(themed(plot.layout)));
  }
}

let undrawn = [];
let isDrawing = false;

/** Add what a run's event holds to the curves on the page, after those told before it. */
export async function drawEvent(event) {
  undrawn.push(event);
  if (isDrawing) return;
  isDrawing = true;
  try {
    while (undrawn.length) {
      const events = undrawn;
      undrawn = [];
      await applyEvents(events);
    }
  } finally {
    isDrawing = false;
  }
}

async function applyEvents(events) {
  let waiting = [];
  const flush = async () => {
    const batch = waiting;
    waiting = [];
    if (batch.length) await Promise.all(curves().map((plot) => extend(plot, batch)));
  };
  for (const event of events) {
    if (event.kind === "rewound") {
      await flush();
      await Promise.all(curves().map((plot) => rewind(plot, event)));
    } else {
      waiting.push(event);
    }
  }
  await flush();
}

function curves() {
  return [...document.querySelectorAll(".plot[data-drawn]")].filter((plot) =>
    plot.data?.some((trace) => trace.meta?.series),
  );
}

async function extend(plot, events) {
  const more = extension(plot.data, events);
  if (!more) return;
  await window.Plotly.extendTraces(plot, more.update, more.indices);
  if (plot.layout.annotations?.some((note) => note.name === "empty")) {
    const axes = Object.keys(plot.layout).filter((name) => /^[xy]axis\d*$/.test(name));
    const shown = Object.fromEntries(axes.map((name) => [`${name}.showticklabels`, true]));
    await window.Plotly.relayout(plot, { ...shown, annotations: [] });
  }
}

async function rewind(plot, event) {
  const update = { x: [], y: [], customdata: [] };
  const indices = [];
  plot.data.forEach((trace, index) => {
    const kept = rewound(trace, event.run, event.payload.step);
    if (!kept) return;
    indices.push(index);
    for (const column of Object.keys(update)) update[column].push(kept[column]);
  });
  if (indices.length) await window.Plotly.restyle(plot, update, indices);
}

/** The colour of numbers in cells; Plotly's own choice does not see through to the page. */
function cellInk() {
  return getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
}

/** Return a layout with the colours of the page's present theme. */
export function themedLayout(layout) {
  return merged(layout, themed(layout));
}

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const line = { gridcolor: colour("grid"), linecolor: colour("line"), zerolinecolor: colour("line") };
  const patch = {
    font: { color: colour("ink-soft"), family: colour("font"), size: 12 },
    hoverlabel: {
      bgcolor: colour("raised"),
      bordercolor: colour("line"),
      font: { color: colour("ink"), family: colour("font") },
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("ink-faint"), activecolor: colour("accent") },
  };
  if (layout.title?.text) patch.title = { font: { color: colour("ink"), size: 14 } };
  for (const name of Object.keys(layout)) if (/^[xy]axis\d*$/.test(name)) patch[name] = line;
  return patch;
}

function merged(base, patch) {
  const result = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    const isPlain = value && typeof value === "object" && !Array.isArray(value);
    result[key] = isPlain ? merged(base[key] ?? {}, value) : value;
  }
  return result;
}

/** Return {"a.b": value} as Plotly.relayout takes it. */
function flat(nested, prefix = "") {
  return Object.entries(nested).reduce((all, [key, value]) => {
    const isPlain = value && typeof value === "object" && !Array.isArray(value);
    return isPlain ? { ...all, ...flat(value, `${prefix}${key}.`) } : { ...all, [prefix + key]: value };
  }, {});
}
