// A draft of the launch form: what was typed, where, and when. Pure; the page keeps it in storage.

export const DRAFT_DAYS = 14;

/** Return a draft of the form's entries ([name, text] pairs) at an address. */
export function makeDraft(entries, address, now) {
  return { entries: entries.filter(([name]) => kept(name)), address, time: now };
}

/** Read a draft from its stored text; null where there is none, it is too old, or not ours. */
export function readDraft(text, now) {
  try {
    const draft = JSON.parse(text ?? "null");
    if (!Array.isArray(draft?.entries) || typeof draft.time !== "number") return null;
    if (now - draft.time > DRAFT_DAYS * 86_400_000) return null;
    return draft;
  } catch {
    return null;
  }
}

/** Return the entries that a draft would change, as [name, text now, text kept]. */
export function differences(draft, entries) {
  const now = grouped(entries.filter(([name]) => kept(name)));
  const then = grouped(draft.entries);
  const names = new Set([...now.keys(), ...then.keys()]);
  return [...names]
    .map((name) => [name, (now.get(name) ?? []).join("\n"), (then.get(name) ?? []).join("\n")])
    .filter(([, one, other]) => one.trim() !== other.trim());
}

/** Say what a draft holds, for its notice. */
export function describeDraft(changed, when) {
  const names = changed.map(([name]) => name).filter((name) => name !== "spec_yaml");
  const few = names.slice(0, 3).join(", ");
  const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
  return `You typed something here that was not launched, ${when}${few ? `: ${few}${more}` : ""}.`;
}

function kept(name) {
  return name !== "csrf_token" && name !== "source";
}

function grouped(entries) {
  const found = new Map();
  for (const [name, text] of entries) found.set(name, [...(found.get(name) ?? []), text]);
  return found;
}
