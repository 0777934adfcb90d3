// Saves a figure as PNG or SVG, in the page's colours on the page's ground.

import { figureFileName } from "./lib/file-names.js";

const PNG_SCALE = 2; // so that print does not look coarse

/** Follow the buttons beside the figures. */
export function followFigureFiles() {
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("[data-save-figure]");
    if (button) saveFigure(button);
  });
}

async function saveFigure(button) {
  const plot = document.getElementById(button.dataset.saveFigure);
  if (!plot?.data || !window.Plotly) return;
  const { format } = button.dataset;
  button.disabled = true;
  try {
    const { width, height } = plot.getBoundingClientRect();
    const title = titleOf(plot);
    const image = await window.Plotly.toImage(
      { ...standingAlone(plot, title, width, height), config: { staticPlot: true } },
      { format, width, height, scale: format === "png" ? PNG_SCALE : 1 },
    );
    const link = document.createElement("a");
    link.href = image;
    link.download = figureFileName(title, location.href, format);
    link.click();
  } finally {
    button.disabled = false;
  }
}

/** Return the figure with what the page around it tells: its ground, its title, its legend. */
function standingAlone(plot, title, width, height) {
  const ground = getComputedStyle(document.documentElement).getPropertyValue("--surface").trim();
  const layout = { ...plot.layout, width, height, autosize: false, paper_bgcolor: ground, plot_bgcolor: ground };
  if (layout.title?.text) return { data: plot.data, layout };
  const named = new Set();
  const data = plot.data.map((trace) => {
    const run = trace.meta?.run ?? null;
    const isFirst = run !== null && !named.has(run) && trace.line?.dash !== "dash";
    if (isFirst) named.add(run);
    return { ...trace, name: escaped(trace.name ?? ""), showlegend: isFirst };
  });
  return {
    data,
    layout: {
      ...layout,
      title: { text: escaped(title), font: { size: 14 }, x: 0, pad: { l: 8 }, yref: "container", y: 0.97, yanchor: "top" },
      margin: { ...layout.margin, t: 40, b: 80 },
      showlegend: named.size > 0,
      legend: { orientation: "h", x: 0, yref: "container", y: 0, yanchor: "bottom" },
    },
  };
}

function titleOf(plot) {
  const own = plot.layout.title?.text;
  if (own) return new DOMParser().parseFromString(own, "text/html").body.textContent;
  const heading = plot.closest("section, figure")?.querySelector("h2, h3");
  return heading?.textContent.trim() ?? plot.id;
}

function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}
