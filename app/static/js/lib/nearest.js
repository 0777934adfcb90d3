// Which curves are nearest to the cursor.

/** Return the index of the point of a rising column nearest to `x`, or -1 where `x` lies outside
the column's ends by more than `slack`. */
export function nearestIndex(xs, x, slack = 0) {
  if (!xs.length || x < xs[0] - slack || x > xs[xs.length - 1] + slack) return -1;
  let low = 0;
  let high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  return Math.abs(xs[high] - x) < Math.abs(xs[low] - x) ? high : low;
}

/** Return at most `limit` curves by their distance to the cursor, as [{curve, index, distance}].

`distance(y)` says how far a value is from the cursor, in pixels. A gap there is left out. */
export function nearest(curves, x, distance, limit = 10, slack = 0) {
  const found = [];
  for (const curve of curves) {
    const index = nearestIndex(curve.x, x, slack);
    const y = index < 0 ? NaN : curve.y[index];
    if (Number.isFinite(y)) found.push({ curve, index, distance: distance(y) });
  }
  return found.sort((one, other) => one.distance - other.distance).slice(0, limit);
}
