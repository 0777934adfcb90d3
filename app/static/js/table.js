// Tables built in the page: plain text in every cell.

/** Fill `place` with a table of a heading and rows of text. */
export function fillTable(place, caption, { head, rows }) {
  const table = document.createElement("table");
  table.className = "table-tight";
  const title = table.createCaption();
  title.className = "visually-hidden";
  title.textContent = caption;
  const top = table.createTHead().insertRow();
  for (const text of head) top.append(cell("th", text, "col"));
  const body = table.createTBody();
  for (const [first, ...others] of rows) {
    const row = body.insertRow();
    row.append(cell("th", first, "row"), ...others.map((text) => cell("td", text)));
  }
  place.replaceChildren(table);
}

function cell(kind, text, scope = null) {
  const made = document.createElement(kind);
  if (scope) made.scope = scope;
  made.textContent = text;
  return made;
}
