// Smoothing of curves: an exponential average that is right from its first point on.

/** Return the debiased exponential moving average of `ys`; what is not finite stays a gap.

`weight` in [0, 1) is the share that the past keeps a recorded point. Of a down-sampled curve each
point stands for `stride` recorded ones, so the past fades as much as it would have over them. */
export function smoothed(ys, weight, stride = 1) {
  const result = new Float32Array(ys.length);
  const kept = weight ** Math.max(1, stride);
  let average = 0;
  let known = 0;
  for (let index = 0; index < ys.length; index += 1) {
    const y = ys[index];
    if (!Number.isFinite(y)) {
      result[index] = NaN;
      continue;
    }
    average = kept * average + (1 - kept) * y;
    known = kept * known + (1 - kept);
    result[index] = average / known;
  }
  return result;
}
