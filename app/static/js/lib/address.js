// Parameters of the page's address: changed, and compared.

/** Return the query string with these lists of values in place of its own; an empty one takes a
parameter away. */
export function withKeys(search, parameters) {
  const query = new URLSearchParams(search);
  for (const [key, values] of Object.entries(parameters)) {
    query.delete(key);
    for (const value of values) query.append(key, value);
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** Return the parameters whose values are not the same in two query strings. */
export function changedKeys(before, after) {
  const [old, now] = [new URLSearchParams(before), new URLSearchParams(after)];
  const keys = new Set([...old.keys(), ...now.keys()]);
  return new Set([...keys].filter((key) => old.getAll(key).join("\n") !== now.getAll(key).join("\n")));
}

/** Return the query string of a form's fields without the empty ones; the lists named become one
parameter each, with commas. */
export function tidyQuery(pairs, lists = []) {
  const query = new URLSearchParams();
  const joined = new Map(lists.map((key) => [key, []]));
  for (const [key, value] of pairs) {
    const text = value.trim();
    if (!text) continue;
    if (joined.has(key)) joined.get(key).push(text);
    else query.append(key, text);
  }
  for (const [key, values] of joined) if (values.length) query.append(key, values.join(","));
  const text = query.toString();
  return text ? `?${text}` : "";
}
