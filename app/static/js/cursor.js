// The cursor over a figure of curves: the nearest runs' values there, and a highlighted line.
// Drawn over Plotly's figure, which is not drawn again for it.

import { figure } from "./lib/curve-words.js";
import { nearest } from "./lib/nearest.js";
import { ownerOf, X_TITLES } from "./lib/traces.js";
import { mark } from "./legend.js";

const SVG = "http://www.w3.org/2000/svg";
const SHOWN = 10;
const KEY_STEP_PX = 8;

export class Cursor {
  #box;
  #plot;
  #state;
  #layer;
  #words;
  #at = null;
  #owner = null;
  #frame = null;

  /** `state()` returns {curves, looks, family, view}. */
  constructor(box, plot, state) {
    this.#box = box;
    this.#plot = plot;
    this.#state = state;
    this.#layer = document.createElementNS(SVG, "svg");
    this.#layer.classList.add("curve-layer");
    this.#layer.setAttribute("aria-hidden", "true");
    this.#words = document.createElement("div");
    this.#words.className = "curve-hover";
    this.#words.hidden = true;
    box.append(this.#layer, this.#words);
    box.addEventListener("pointermove", (event) => this.#moveTo(event.clientX, event.clientY));
    box.addEventListener("pointerleave", () => this.hide());
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("blur", () => this.hide());
  }

  /** Draw a run's lines thick over the others, or stop with null. */
  highlight(owner) {
    this.#owner = owner;
    this.#paint();
  }

  /** Draw anew what lies over the figure, which has just been drawn anew. */
  redraw(pinned) {
    this.highlight(pinned);
  }

  hide() {
    this.#at = null;
    this.#words.hidden = true;
    this.#paint();
  }

  #axes() {
    const layout = this.#plot._fullLayout;
    return layout ? { x: layout.xaxis, y: layout.yaxis } : null;
  }

  #moveTo(clientX, clientY) {
    const bounds = this.#box.getBoundingClientRect();
    this.#at = { x: clientX - bounds.left, y: clientY - bounds.top };
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      if (this.#at) this.#show();
    });
  }

  #show() {
    const axes = this.#axes();
    if (!axes) return;
    const { x, y } = axes;
    const inside = { x: this.#at.x - x._offset, y: this.#at.y - y._offset };
    if (inside.x < 0 || inside.x > x._length || inside.y < 0 || inside.y > y._length) {
      this.hide();
      return;
    }
    const value = x.p2c(inside.x);
    const { curves } = this.#state();
    const slack = x.p2c(12) - x.p2c(0);
    const found = nearest(curves, value, (number) => Math.abs(y.c2p(y.d2c(number)) - inside.y), SHOWN, slack);
    this.#tell(value, found);
    this.#paint(found);
  }

  #tell(value, found) {
    const { curves, looks, family, view } = this.#state();
    const shownAt = found.length ? found[0].curve.x[found[0].index] : value;
    const title = document.createElement("p");
    title.className = "curve-hover-title";
    title.textContent = `${X_TITLES[view.x].split(",")[0]} ${figure(shownAt)}`;
    const rows = found.map(({ curve, index }) => {
      const row = document.createElement("p");
      const label = document.createElement("span");
      label.className = "curve-hover-label";
      label.textContent = looks.get(ownerOf(curve)).label;
      const kind = document.createElement("span");
      kind.className = "faint";
      kind.textContent = curve.metric === family.train ? "train" : "val.";
      const number = document.createElement("b");
      number.textContent = this.#value(curve.y[index], family);
      row.append(mark(looks.get(ownerOf(curve))), label, kind, number);
      if (curve.low) {
        const band = document.createElement("span");
        band.className = "curve-hover-band";
        const runs = curve.runs[index];
        band.textContent = `${this.#value(curve.low[index], family)} to ${this.#value(curve.high[index], family)}, ${runs} of ${curve.of} ${curve.of === 1 ? "run" : "runs"}`;
        row.append(band);
      }
      return row;
    });
    if (!found.length) {
      const none = document.createElement("p");
      none.textContent = "No values here.";
      rows.push(none);
    } else if (curves.length > found.length) {
      const more = document.createElement("p");
      more.className = "faint";
      more.textContent = `the nearest ${found.length} of ${curves.length} lines`;
      rows.push(more);
    }
    this.#words.replaceChildren(title, ...rows);
    this.#words.hidden = false;
    const isRight = this.#at.x > this.#box.clientWidth / 2;
    this.#words.style.left = isRight ? "auto" : `${this.#at.x + 16}px`;
    this.#words.style.right = isRight ? `${this.#box.clientWidth - this.#at.x + 16}px` : "auto";
    this.#words.style.top = "12px";
  }

  #value(number, family) {
    return family.percent ? `${(number * 100).toFixed(2)} %` : figure(number);
  }

  #paint(found = []) {
    const axes = this.#axes();
    this.#layer.replaceChildren();
    this.#box.classList.toggle("is-dimmed", this.#owner !== null && this.#owner !== undefined);
    if (!axes) return;
    const { x, y } = axes;
    const add = (kind, attributes) => {
      const shape = document.createElementNS(SVG, kind);
      for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
      this.#layer.append(shape);
    };
    const place = (curve, index) => [x._offset + x.c2p(curve.x[index]), y._offset + y.c2p(y.d2c(curve.y[index]))];
    if (this.#owner !== null && this.#owner !== undefined) {
      const { curves, looks, family } = this.#state();
      for (const curve of curves) {
        if (ownerOf(curve) !== this.#owner) continue;
        add("path", {
          d: path(curve, place),
          stroke: looks.get(this.#owner).colour,
          "stroke-dasharray": curve.metric === family.train ? "6 4" : "none",
        });
      }
    }
    if (this.#at && found.length) {
      const [at] = place(found[0].curve, found[0].index);
      add("line", { x1: at, x2: at, y1: y._offset, y2: y._offset + y._length });
      for (const { curve, index } of found) {
        const [cx, cy] = place(curve, index);
        add("circle", { cx, cy, r: 3, fill: this.#state().looks.get(ownerOf(curve)).colour });
      }
    }
  }

  #key(event) {
    const axes = this.#axes();
    if (!axes || event.target !== this.#box) return;
    const { x, y } = axes;
    const steps = { ArrowLeft: -KEY_STEP_PX, ArrowRight: KEY_STEP_PX };
    const zooms = { "+": 0.5, "-": 2 };
    if (event.key in steps) {
      const next = this.#at ? this.#at.x + steps[event.key] : x._offset + x._length / 2;
      this.#at = {
        x: Math.min(x._offset + x._length, Math.max(x._offset, next)),
        y: this.#at?.y ?? y._offset + y._length / 2,
      };
      this.#words.setAttribute("aria-live", "polite");
      this.#show();
    } else if (event.key in zooms) {
      const middle = this.#at ? x.p2c(this.#at.x - x._offset) : (x.range[0] + x.range[1]) / 2;
      const half = ((x.range[1] - x.range[0]) / 2) * zooms[event.key];
      window.Plotly.relayout(this.#plot, { "xaxis.range": [middle - half, middle + half] });
    } else if (event.key === "0") {
      window.Plotly.relayout(this.#plot, { "xaxis.autorange": true, "yaxis.autorange": true });
    } else if (event.key === "Escape") {
      this.hide();
    } else {
      return;
    }
    event.preventDefault();
  }
}

function path(curve, place) {
  const parts = [];
  let isDrawing = false;
  for (let index = 0; index < curve.x.length; index += 1) {
    const isKnown = Number.isFinite(curve.y[index]);
    if (isKnown) {
      const [x, y] = place(curve, index);
      parts.push(`${isDrawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`);
    }
    isDrawing = isKnown;
  }
  return parts.join("");
}
