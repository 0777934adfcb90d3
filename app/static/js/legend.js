// The lines' legend: a button each, that highlights its lines on every figure.

const GROUP_COLOURS = ["#1f78d1", "#e0571b", "#0b9a6d", "#c95a9c", "#a37c00", "#8566e0", "#1295b8", "#7d8794"];
const GROUP_SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down", "pentagon"];
const GLYPHS = {
  circle: "●", square: "■", diamond: "◆", "triangle-up": "▲", cross: "✚", x: "✖", star: "★", "triangle-down": "▼", pentagon: "⬟",
};

/** Return the looks of groups, which are numbered from 0 in the answer's order. */
export function groupLooks(groups) {
  return new Map(
    groups.map(({ label, runs }, index) => [
      index,
      {
        label: `${label} (${runs.length} ${runs.length === 1 ? "run" : "runs"})`,
        colour: GROUP_COLOURS[index % GROUP_COLOURS.length],
        symbol: GROUP_SYMBOLS[index % GROUP_SYMBOLS.length],
      },
    ]),
  );
}

/** Return the mark of a run or group: its symbol in its colour. */
export function mark(look) {
  const glyph = document.createElement("span");
  glyph.className = "glyph";
  glyph.style.color = look.colour;
  glyph.setAttribute("aria-hidden", "true");
  glyph.textContent = GLYPHS[look.symbol];
  return glyph;
}

export class Legend {
  #list;
  #calls;
  #looks = null;

  /** `calls`: {highlight(owner or null), pin(owner)}. */
  constructor(list, looks, calls) {
    this.#list = list;
    this.#calls = calls;
    this.show(looks, null);
  }

  show(looks, pinned) {
    const same = this.#looks && this.#looks.size === looks.size && [...looks].every(([key, look]) => this.#looks.get(key)?.label === look.label);
    if (!same) {
      this.#looks = looks;
      this.#list.replaceChildren(...[...looks].map(([owner, look]) => this.#item(owner, look)));
    }
    this.showPinned(pinned);
  }

  showPinned(pinned) {
    for (const button of this.#list.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.owner) === pinned));
    }
  }

  #item(owner, look) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.owner = owner;
    const label = document.createElement("span");
    label.textContent = look.label;
    button.title = look.label;
    button.append(mark(look), label);
    for (const kind of ["pointerenter", "focus"]) button.addEventListener(kind, () => this.#calls.highlight(owner));
    for (const kind of ["pointerleave", "blur"]) button.addEventListener(kind, () => this.#calls.highlight(null));
    button.addEventListener("click", () => this.#calls.pin(owner));
    item.append(button);
    return item;
  }
}
