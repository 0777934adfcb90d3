// What the curves show, as the page's address holds it.

const CHOICES = {
  x: ["epoch", "step", "seconds", "wall"],
  y: ["linear", "log"],
  lines: ["both", "val", "train"],
  band: ["minmax", "sd"],
};
const KEYS = [...Object.keys(CHOICES), "metric", "smooth", "group", "from", "to", "ylim", "pin"];

/** Return the view that a query string asks for; the server has refused what makes no sense. */
export function readView(search) {
  const query = new URLSearchParams(search);
  const choices = Object.entries(CHOICES).map(([key, values]) => [
    key,
    values.includes(query.get(key)) ? query.get(key) : values[0],
  ]);
  return {
    ...Object.fromEntries(choices),
    metrics: query.getAll("metric"),
    smooth: number(query.get("smooth")) ?? 0,
    group: query.get("group") ?? "",
    from: number(query.get("from")),
    to: number(query.get("to")),
    limits: Object.fromEntries(query.getAll("ylim").map(limitsOf).filter(Boolean)),
    pin: number(query.get("pin")),
  };
}

/** Return the query string with the view in it; what it does not know stays as it is. */
export function writeView(search, view) {
  const query = new URLSearchParams(search);
  for (const key of KEYS) query.delete(key);
  for (const key of Object.keys(CHOICES)) if (view[key] !== CHOICES[key][0]) query.set(key, view[key]);
  for (const metric of view.metrics) query.append("metric", metric);
  if (view.smooth > 0) query.set("smooth", view.smooth);
  if (view.group) query.set("group", view.group);
  if (view.from !== null) query.set("from", short(view.from));
  if (view.to !== null) query.set("to", short(view.to));
  for (const [metric, [low, high]] of Object.entries(view.limits)) {
    query.append("ylim", `${metric}:${short(low)}:${short(high)}`);
  }
  if (view.pin !== null) query.set("pin", view.pin);
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** Return the address with the view's part of `search` in place of its own. */
export function withView(address, search) {
  const url = new URL(address, "http://here");
  const now = new URLSearchParams(search);
  for (const key of KEYS) {
    url.searchParams.delete(key);
    for (const value of now.getAll(key)) url.searchParams.append(key, value);
  }
  return url.pathname + url.search + url.hash;
}

function limitsOf(text) {
  const [metric, low, high] = text.split(":");
  const limits = [number(low), number(high)];
  return limits.includes(null) ? null : [metric, limits];
}

function number(text) {
  const value = text === null || text === undefined || text === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}

function short(value) {
  return String(Number(value.toPrecision(8)));
}
