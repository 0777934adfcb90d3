// Curves as Plotly's traces. With many runs those of one colour share a trace, with gaps between
// them: Plotly takes its time by the trace, not by the point.

import { smoothed } from "./smooth.js";

export const SHARED_FROM = 25; // runs
const MARKED_POINTS = 60; // more markers on a line hide it
const FAINT = 0.25;

/** Return the traces of curves.

`curves`: [{run or group, metric, x, y, points, total, best}]; `looks`: id → {label, colour,
symbol}; `family`: {train, val}; `smooth` in [0, 1). */
export function curveTraces({ curves, looks, family, smooth }) {
  const owners = new Set(curves.map(ownerOf));
  const isShared = owners.size >= SHARED_FROM;
  const isMarked = !isShared && curves.every((curve) => curve.points <= MARKED_POINTS);
  const sets = new Map();
  for (const curve of curves) {
    const look = looks.get(ownerOf(curve));
    const kind = curve.metric === family.train ? "train" : "val";
    const key = `${kind} ${isShared ? look.colour : ownerOf(curve)}`;
    if (!sets.has(key)) sets.set(key, { kind, look, curves: [] });
    sets.get(key).curves.push(curve);
  }
  const calmed = (curve, ys) => smoothed(ys, smooth, curve.total / Math.max(1, curve.points));
  const traces = [];
  for (const { kind, look, curves: own } of sets.values()) {
    const shape = { kind, look, own, isShared, isMarked, family };
    if (smooth > 0) {
      traces.push({ ...lines(shape, (curve) => curve.y), mode: "lines", opacity: FAINT });
      traces.push(lines(shape, (curve) => calmed(curve, curve.y)));
    } else {
      traces.push(lines(shape, (curve) => curve.y));
    }
  }
  return [...bands(curves, looks, smooth > 0 ? calmed : (curve, ys) => ys), ...traces, ...dots(curves, looks, isMarked), ...bests(curves, looks, family)];
}

export function ownerOf(curve) {
  return curve.group ?? curve.run;
}

function lines({ kind, look, own, isShared, isMarked, family }, valuesOf) {
  const isDashed = kind === "train" && !isShared;
  const trace = {
    type: "scatter",
    mode: isMarked ? "lines+markers" : "lines",
    name: isShared ? kind : look.label,
    meta: { run: isShared ? null : ownerOf(own[0]), series: family[kind] },
    x: joined(own.map((curve) => curve.x)),
    y: joined(own.map(valuesOf)),
    line: {
      color: look.colour,
      dash: isDashed ? "dash" : "solid",
      width: isShared ? (kind === "train" ? 0.75 : 1.25) : 2,
    },
    opacity: isShared && kind === "train" ? 0.55 : 1,
    hoverinfo: "skip",
    showlegend: false,
  };
  if (isMarked) {
    const symbol = kind === "train" ? `${look.symbol}-open` : look.symbol;
    trace.marker = { symbol, size: 6, color: look.colour };
  }
  return trace;
}

/** Return columns one after the other with a gap between any two. */
function joined(columns) {
  if (columns.length === 1) return columns[0];
  const length = columns.reduce((sum, column) => sum + column.length + 1, 0);
  const result = new Float32Array(length).fill(NaN);
  let place = 0;
  for (const column of columns) {
    result.set(column, place);
    place += column.length + 1;
  }
  return result;
}

/** Values with a gap on both sides, which no line shows. */
function dots(curves, looks, isMarked) {
  if (isMarked) return [];
  const found = [];
  for (const curve of curves) {
    for (const index of alone(curve.y)) found.push([curve.x[index], curve.y[index], looks.get(ownerOf(curve))]);
  }
  return found.length ? [points("single values", found, { size: 6 })] : [];
}

export function alone(ys) {
  const isGap = (index) => !Number.isFinite(ys[index]);
  return [...ys.keys()].filter((index) => !isGap(index) && isGap(index - 1) && isGap(index + 1));
}

/** The value at the epoch whose weights each run keeps. */
function bests(curves, looks, family) {
  const found = curves
    .filter((curve) => curve.best && (curve.metric === family.val || !family.val))
    .map((curve) => [...curve.best, looks.get(ownerOf(curve))]);
  return found.length ? [points("best epochs", found, { size: 11, line: { width: 1.5, color: "#fff" } }, "best")] : [];
}

function points(name, found, marker, series = null) {
  return {
    type: "scatter",
    mode: "markers",
    name,
    meta: { run: null, series },
    x: found.map(([x]) => x),
    y: found.map(([, y]) => y),
    marker: {
      ...marker,
      symbol: found.map(([, , look]) => look.symbol),
      color: found.map(([, , look]) => look.colour),
    },
    hoverinfo: "skip",
    showlegend: false,
  };
}

/** What the runs of a group span, as outlines to fill; a gap ends one and begins the next. */
function bands(curves, looks, calmed) {
  return curves
    .filter((curve) => curve.low)
    .map((curve) => {
      const [low, high] = [curve.low, curve.high].map((ys) => calmed(curve, ys));
      const xs = [];
      const ys = [];
      for (const [first, end] of stretches(low)) {
        for (let index = first; index < end; index += 1) xs.push(curve.x[index]), ys.push(high[index]);
        for (let index = end - 1; index >= first; index -= 1) xs.push(curve.x[index]), ys.push(low[index]);
        xs.push(null);
        ys.push(null);
      }
      const look = looks.get(ownerOf(curve));
      return {
        type: "scatter",
        mode: "lines",
        name: `${look.label}, band`,
        meta: { run: ownerOf(curve), series: "band" },
        x: xs,
        y: ys,
        fill: "toself",
        fillcolor: `${look.colour}2e`,
        line: { color: look.colour, width: 0 },
        hoverinfo: "skip",
        showlegend: false,
      };
    });
}

function stretches(ys) {
  const found = [];
  let first = -1;
  for (let index = 0; index <= ys.length; index += 1) {
    const isKnown = index < ys.length && Number.isFinite(ys[index]);
    if (isKnown && first < 0) first = index;
    if (!isKnown && first >= 0) {
      found.push([first, index]);
      first = -1;
    }
  }
  return found;
}

export const X_TITLES = {
  epoch: "Epoch",
  step: "Step",
  seconds: "Training seconds",
  wall: "Seconds since the start, pauses included",
};

/** Return the layout of a family's figure in a view. */
export function curveLayout(family, view) {
  const x = { title: { text: X_TITLES[view.x], standoff: 8 }, automargin: true, zeroline: false };
  const y = { automargin: true, zeroline: false, type: view.y };
  if (family.percent) y.tickformat = ".0%";
  if (view.from !== null || view.to !== null) {
    x.autorange = false;
    x.range = [view.from, view.to];
    if (view.from === null) x.autorange = "min";
    if (view.to === null) x.autorange = "max";
  } else {
    x.rangemode = "tozero";
  }
  const limits = view.limits[family.key];
  if (limits && (view.y === "linear" || limits[0] > 0)) {
    y.autorange = false;
    y.range = view.y === "log" ? limits.map(Math.log10) : limits;
  }
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 52, r: 12, t: 12, b: 48 },
    xaxis: x,
    yaxis: y,
    hovermode: false,
    showlegend: false,
    uirevision: "keep",
  };
}

/** Return what Plotly's relayout event changes of a view, or null where that is nothing. */
export function zoomed(view, family, change) {
  const next = { ...view, limits: { ...view.limits } };
  const range = (axis) => change[`${axis}.range`] ?? [change[`${axis}.range[0]`], change[`${axis}.range[1]`]];
  const [from, to] = range("xaxis");
  if (change["xaxis.autorange"]) Object.assign(next, { from: null, to: null });
  else if (from !== undefined) Object.assign(next, { from, to });
  const limits = range("yaxis");
  if (change["yaxis.autorange"]) delete next.limits[family.key];
  else if (limits[0] !== undefined) {
    next.limits[family.key] = view.y === "log" ? limits.map((power) => 10 ** power) : limits;
  }
  return JSON.stringify(next) === JSON.stringify(view) ? null : next;
}
