// Which fields of the launch form have a meaning beside the others' values.

/** Return whether a field applies: every named field has one of its values. */
export function applies(conditions, valueOf) {
  return Object.entries(conditions).every(([path, values]) => values.includes(valueOf(path)));
}

/** Return the names that fit what is typed: those that begin with it, then those that hold it. */
export function matching(names, typed, limit) {
  const wanted = typed.trim().toLowerCase();
  const rank = (name) => {
    const bare = name.toLowerCase();
    return bare.startsWith(wanted) || bare.split("/").at(-1).startsWith(wanted) ? 0 : 1;
  };
  return names
    .filter((name) => name.toLowerCase().includes(wanted))
    .sort((one, other) => rank(one) - rank(other) || one.localeCompare(other))
    .slice(0, limit);
}
