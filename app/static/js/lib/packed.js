// What `GET /api/v1/compare/curves` answers, unpacked: one object a curve, its points in columns.

/** Return the answer's curves, each with its columns as Float32Arrays: x, y, and low, high and
runs (how many) for groups. */
export function unpacked(answer) {
  const columns = Object.entries(answer.columns).map(([name, text]) => [name, floats(text)]);
  let place = 0;
  return answer.curves.map((curve) => {
    const end = place + curve.points;
    const own = Object.fromEntries(columns.map(([name, all]) => [name, all.subarray(place, end)]));
    place = end;
    return { ...curve, ...own };
  });
}

function floats(text) {
  const raw = atob(text);
  const bytes = Uint8Array.from(raw, (character) => character.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** Return the curve with points of [{x, y, step}] that are new to it; the same one if none is. */
export function extended(curve, points) {
  const fresh = [];
  let last = curve.last_step;
  for (const point of points) {
    if (point.step <= last) continue;
    fresh.push(point);
    last = point.step;
  }
  if (!fresh.length) return curve;
  const grown = (column, values) => {
    const result = new Float32Array(column.length + values.length);
    result.set(column);
    result.set(values, column.length);
    return result;
  };
  return {
    ...curve,
    x: grown(curve.x, fresh.map((point) => point.x)),
    y: grown(curve.y, fresh.map((point) => point.y ?? NaN)),
    points: curve.points + fresh.length,
    total: curve.total + fresh.length,
    ends_at: fresh.findLast((point) => point.y !== null)?.x ?? curve.ends_at,
    last_step: last,
  };
}
