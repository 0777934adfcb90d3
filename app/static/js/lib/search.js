// Looking for a text in another, as the server does: any case, spaces at the ends left out.

/** Return whether `text` holds `wanted`; everything holds nothing. */
export function holds(text, wanted) {
  return text.toLowerCase().includes(wanted.trim().toLowerCase());
}
