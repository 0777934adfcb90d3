// What is tried, in the address; the modules of a network as words and as a tree.

import { withKeys } from "./address.js";

const BELONGS = { classify: [], gradcam: ["class"], features: ["module", "maps"] };

/** Return the query string that says what is shown: the image and what goes with `show`. */
export function tryAddress(search, { image, show, ...more }) {
  const keys = { image: image ? [image] : [], show: image ? [show] : [], job: [] };
  for (const name of ["class", "module", "maps"]) {
    const wanted = image && BELONGS[show]?.includes(name) && more[name] && !(name === "maps" && more.maps === "1");
    keys[name] = wanted ? [more[name]] : [];
  }
  return withKeys(search, keys);
}

/** Return the evaluated image that an image's name stands for: {split, index}, or null. */
export function evaluatedImage(name) {
  const found = /^(val|test)-(\d+)$/.exec(name ?? "");
  return found && { split: found[1], index: Number(found[2]) };
}

/** Return what is said of a module: its type and its maps. */
export function moduleText({ type, maps, shape }) {
  if (maps === null) return `${type}, no maps`;
  const [height, width] = shape.length === 3 ? shape.slice(1) : [];
  const size = height > 1 ? ` of ${height} × ${width}` : "";
  return `${type}, ${maps} ${shape.length === 1 ? "values" : "maps"}${size}`;
}

/** Return the modules that match what is typed, each with its depth; those above a match too. */
export function matchingModules(modules, typed) {
  const words = typed.trim().toLowerCase();
  const matches = (one) => !words || `${one.name} ${one.type}`.toLowerCase().includes(words);
  const kept = new Set();
  for (const one of modules.filter(matches)) {
    const parts = one.name.split(".");
    parts.forEach((_, at) => kept.add(parts.slice(0, at + 1).join(".")));
  }
  return modules
    .filter((one) => kept.has(one.name))
    .map((one) => ({ ...one, depth: one.name.split(".").length - 1, last: one.name.split(".").at(-1) }));
}

/** Return the number of the image that a step leads to, around the ends. */
export function steppedIndex(index, step, samples, random = Math.random) {
  if (step === "random") return Math.floor(random() * samples);
  if (index === null) return step > 0 ? 0 : samples - 1;
  return (((index + step) % samples) + samples) % samples;
}
