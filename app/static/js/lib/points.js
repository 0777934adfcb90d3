// Which points a run's event adds to a trace, and what a rewind leaves of it.

const OF_EPOCH = new Set([
  "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate",
]);
const OF_STEPS = { batch_loss: "loss", batch_learning_rate: "learning_rate" };

/** Return [{x, y, step}] that an event holds for a trace's meta {run, series, x}. */
export function pointsOf(event, meta) {
  if (event.run !== meta.run) return [];
  const told = event.payload;
  if (event.kind === "epoch_finished" && OF_EPOCH.has(meta.series)) {
    const x = { epoch: told.epoch, step: told.step, seconds: told.elapsed_s }[meta.x];
    return [{ x, y: finite(told[meta.series]), step: told.step }];
  }
  const column = OF_STEPS[meta.series];
  if (event.kind === "steps_recorded" && column) {
    const xs = meta.x === "seconds" ? told.elapsed_s : told.steps;
    return told.steps.map((step, index) => ({ x: xs[index], y: finite(told[column][index]), step }));
  }
  return [];
}

/** Return what Plotly.extendTraces wants for these events, or null where nothing is new.

A point whose step the trace already has is left out, so an event told twice adds nothing. */
export function extension(traces, events) {
  const update = { x: [], y: [], customdata: [] };
  const indices = [];
  traces.forEach((trace, index) => {
    if (!trace.meta?.series) return;
    let last = trace.customdata?.length ? trace.customdata[trace.customdata.length - 1] : -1;
    const fresh = [];
    for (const event of events) {
      for (const point of pointsOf(event, trace.meta)) {
        if (point.step <= last) continue;
        fresh.push(point);
        last = point.step;
      }
    }
    if (!fresh.length) return;
    indices.push(index);
    update.x.push(fresh.map((point) => point.x));
    update.y.push(fresh.map((point) => point.y));
    update.customdata.push(fresh.map((point) => point.step));
  });
  return indices.length ? { update, indices } : null;
}

/** Return the trace's columns without the points past `step`, or null if there are none. */
export function rewound(trace, run, step) {
  if (trace.meta?.run !== run || !trace.customdata) return null;
  const kept = [...trace.customdata.keys()].filter((index) => trace.customdata[index] <= step);
  if (kept.length === trace.customdata.length) return null;
  const take = (column) => kept.map((index) => column[index]);
  return { x: take(trace.x), y: take(trace.y), customdata: take(trace.customdata) };
}

function finite(value) {
  return value !== null && Number.isFinite(Number(value)) ? Number(value) : null;
}
