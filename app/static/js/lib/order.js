// Where a dragged row lands among others.

/** Return {before: id} or {after: id}, or null where the row would stay.

`boxes` are the rows in order, {id, top, height}; `y` is the pointer. */
export function dropPlace(boxes, dragged, y) {
  const from = boxes.findIndex(({ id }) => id === dragged);
  const others = boxes.filter(({ id }) => id !== dragged);
  if (from < 0 || !others.length) return null;
  const to = others.filter(({ top, height }) => y > top + height / 2).length;
  if (to === from) return null;
  return to < others.length ? { before: others[to].id } : { after: others.at(-1).id };
}
