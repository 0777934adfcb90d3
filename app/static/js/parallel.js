// Brushes on parallel coordinates: a drag along an axis keeps the runs that pass there.

const CLICK = 0.02; // a shorter drag, as a share of the axis, is a click
const NEAR = 0.03; // how far from a run's value, as a share of the axis, it is still pointed at
const FAINT = 0.07;

const brushed = new Map(); // [low, high] by figure and axis; outlives a figure that is drawn again

/** Give every axis of a drawn figure a brush. */
export function addBrushes(plot) {
  const { ticktext: labels } = plot.layout.xaxis;
  const keys = labels.map((label) => `${plot.id} ${label}`);
  const brushes = keys.map((key, axis) => brush(plot, axis, key, () => keep(plot, keys)));
  plot.append(...brushes);
  const place = () => {
    const { xaxis, yaxis } = plot._fullLayout;
    const [top, bottom] = [yaxis.l2p(1), yaxis.l2p(0)];
    brushes.forEach(({ style }, axis) => {
      style.left = `${xaxis._offset + xaxis.l2p(axis)}px`;
      style.top = `${yaxis._offset + top}px`;
      style.height = `${bottom - top}px`;
    });
  };
  place();
  plot.on("plotly_afterplot", place);
  if (keys.some((key) => brushed.has(key))) keep(plot, keys);
}

function brush(plot, axis, key, onChange) {
  const zone = document.createElement("div");
  zone.className = "brush";
  const range = zone.appendChild(document.createElement("div"));
  const show = () => {
    const [low, high] = brushed.get(key) ?? [0, 0];
    range.hidden = low === high;
    range.style.top = `${100 * (1 - high)}%`;
    range.style.height = `${100 * (high - low)}%`;
  };
  const placeOf = ({ clientY }) => {
    const { top, height } = zone.getBoundingClientRect();
    return Math.min(1, Math.max(0, 1 - (clientY - top) / height));
  };
  let from = null;
  zone.addEventListener("pointerdown", (event) => {
    zone.setPointerCapture(event.pointerId);
    from = placeOf(event);
  });
  zone.addEventListener("pointermove", (event) => {
    const to = placeOf(event);
    if (from === null) return pointAt(plot, axis, to);
    if (Math.abs(to - from) < CLICK) brushed.delete(key);
    else brushed.set(key, [Math.min(from, to), Math.max(from, to)]);
    show();
    onChange();
  });
  zone.addEventListener("pointerup", (event) => {
    if (Math.abs(placeOf(event) - from) < CLICK) brushed.delete(key);
    from = null;
    show();
    onChange();
  });
  zone.addEventListener("pointercancel", () => (from = null));
  zone.addEventListener("pointerleave", () => pointAt(plot, axis, null));
  show();
  return zone;
}

/** Show which run has the value at a place of an axis, and its line. */
function pointAt(plot, axis, place) {
  const distances = plot.data.map(({ y }) => Math.abs(y[axis] - place));
  const nearest = distances.indexOf(Math.min(...distances));
  const found = place !== null && distances[nearest] <= NEAR ? nearest : null;
  plot.querySelectorAll(".scatterlayer .trace").forEach((line, index) => {
    line.classList.toggle("is-pointed-at", index === found);
  });
  if (found === null) window.Plotly.Fx.unhover(plot);
  else window.Plotly.Fx.hover(plot, [{ curveNumber: found, pointNumber: axis }]);
}

/** Let the runs that pass every brush stand out, in the figure and in the table beneath. */
function keep(plot, keys) {
  const passes = plot.data.map(({ y }) =>
    keys.every((key, axis) => {
      const [low, high] = brushed.get(key) ?? [0, 1];
      return low <= y[axis] && y[axis] <= high;
    }),
  );
  window.Plotly.restyle(plot, { opacity: passes.map((passing) => (passing ? 1 : FAINT)) });
  const section = plot.closest("section");
  plot.data.forEach(({ meta }, index) => {
    section.querySelector(`[data-line="${meta.run}"]`).hidden = !passes[index];
  });
  const isBrushed = keys.some((key) => brushed.has(key));
  const count = passes.filter(Boolean).length;
  section.querySelector("[data-passing]").textContent = isBrushed ? `${count} of ${passes.length} runs pass.` : "";
}
