// The YAML of a sweep's space, written line by line. Pure.

const RANGE = /^(\S+)\s*(?:\.\.|…|to)\s*(\S+)((?:\s+(?:log|step\s+\S+|count\s+\S+))*)$/;

/** Return the YAML of some typed values: "0.1, 0.01" is a list, "1e-4 .. 0.1 log" a range; null of nothing. */
export function spaceText(typed) {
  const text = typed.trim();
  if (!text) return null;
  if (/^[[{]/.test(text)) return text;
  const range = text.match(RANGE);
  if (!range) return `[${text.split(",").map((value) => plain(value.trim())).filter(Boolean).join(", ")}]`;
  const [, low, high, more] = range;
  const parts = [`low: ${plain(low)}`, `high: ${plain(high)}`];
  if (/\blog\b/.test(more)) parts.push("log: true");
  for (const name of ["step", "count"]) {
    const found = more.match(new RegExp(`${name}\\s+(\\S+)`));
    if (found) parts.push(`${name}: ${plain(found[1])}`);
  }
  return `{${parts.join(", ")}}`;
}

/** Return a space with a field's line put in, in the place of an older one. */
export function withField(space, path, values) {
  const line = `${path}: ${values}`;
  const lines = space.split("\n").filter((one) => one.trim());
  const place = lines.findIndex((one) => one.startsWith(`${path}:`));
  if (place < 0) return [...lines, line].join("\n");
  let end = place + 1; // an older one may go on in indented lines
  while (end < lines.length && /^[\s-]/.test(lines[end])) end += 1;
  return [...lines.slice(0, place), line, ...lines.slice(end)].join("\n");
}

/** YAML reads 1e-4 as text: numbers are written out so that it does not. */
function plain(value) {
  return /^[+-]?\d+(\.\d*)?e[+-]?\d+$/i.test(value) ? String(Number(value)).replace(/^(-?\d+)e/, "$1.0e") : value;
}
