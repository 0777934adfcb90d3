import assert from "node:assert/strict";
import { test } from "node:test";

import { extension, pointsOf, rewound } from "../../app/static/js/lib/points.js";

const epoch = (number, run = 1) => ({
  run,
  kind: "epoch_finished",
  payload: { epoch: number, step: number * 10, elapsed_s: number / 2, val_loss: 1 / number, train_loss: null },
});
const batches = {
  run: 1,
  kind: "steps_recorded",
  payload: { steps: [1, 4], elapsed_s: [0.1, 0.4], loss: [2.5, null], learning_rate: [0.1, 0.2] },
};
const trace = (series, customdata = [], x = "epoch") => ({
  meta: { run: 1, series, x },
  x: customdata.map((step) => step / 10),
  y: customdata.map(() => 0.5),
  customdata,
});

test("an epoch gives one point on the axis the trace is drawn against", () => {
  for (const [axis, x] of [["epoch", 2], ["step", 20], ["seconds", 1]]) {
    assert.deepEqual(pointsOf(epoch(2), { run: 1, series: "val_loss", x: axis }), [{ x, y: 0.5, step: 20 }]);
  }
});

test("a value that is not finite is a gap", () => {
  assert.equal(pointsOf(epoch(1), { run: 1, series: "train_loss", x: "epoch" })[0].y, null);
});

test("steps give a point each", () => {
  assert.deepEqual(pointsOf(batches, { run: 1, series: "batch_loss", x: "step" }), [
    { x: 1, y: 2.5, step: 1 },
    { x: 4, y: null, step: 4 },
  ]);
  assert.deepEqual(
    pointsOf(batches, { run: 1, series: "batch_learning_rate", x: "seconds" }).map(({ x, y }) => [x, y]),
    [[0.1, 0.1], [0.4, 0.2]],
  );
});

test("events of other runs and series give nothing", () => {
  assert.deepEqual(pointsOf(epoch(1, 2), { run: 1, series: "val_loss", x: "epoch" }), []);
  assert.deepEqual(pointsOf(epoch(1), { run: 1, series: "batch_loss", x: "step" }), []);
  assert.deepEqual(pointsOf({ run: 1, kind: "log", payload: {} }, { run: 1, series: "val_loss", x: "epoch" }), []);
});

test("only traces with news are extended, and only by what is new", () => {
  const traces = [trace("val_loss", [10, 20]), trace("batch_loss"), { type: "heatmap" }];
  const more = extension(traces, [epoch(2), epoch(3), epoch(4)]);
  assert.deepEqual(more.indices, [0]);
  assert.deepEqual(more.update.x, [[3, 4]]);
  assert.deepEqual(more.update.customdata, [[30, 40]]);
});

test("an event told twice adds nothing", () => {
  assert.equal(extension([trace("val_loss", [10, 20])], [epoch(1), epoch(2)]), null);
  const twice = extension([trace("val_loss")], [epoch(1), epoch(1)]);
  assert.deepEqual(twice.update.x, [[1]]);
});

test("a rewind leaves the points up to its step", () => {
  const kept = rewound(trace("val_loss", [10, 20, 30]), 1, 20);
  assert.deepEqual(kept, { x: [1, 2], y: [0.5, 0.5], customdata: [10, 20] });
  assert.equal(rewound(trace("val_loss", [10]), 1, 20), null);
  assert.equal(rewound(trace("val_loss", [30]), 2, 20), null);
});
