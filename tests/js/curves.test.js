import assert from "node:assert/strict";
import { test } from "node:test";

import { figure, notes, runsText, tableRows } from "../../app/static/js/lib/curve-words.js";
import { nearest, nearestIndex } from "../../app/static/js/lib/nearest.js";
import { extended, unpacked } from "../../app/static/js/lib/packed.js";
import { smoothed } from "../../app/static/js/lib/smooth.js";
import { alone, curveLayout, curveTraces, zoomed } from "../../app/static/js/lib/traces.js";
import { readView, withView, writeView } from "../../app/static/js/lib/view.js";

const packed = (...values) => Buffer.from(new Float32Array(values).buffer).toString("base64");
const column = (...values) => new Float32Array(values);
const look = (label, colour = "#111111", symbol = "circle") => ({ label, colour, symbol });
const curve = (run, metric, x, y, more = {}) => ({
  run, metric, x: column(...x), y: column(...y), points: x.length, total: x.length, last_step: x.at(-1) ?? -1, ends_at: x.at(-1) ?? null, best: null, ...more,
});
const loss = { key: "loss", title: "Loss", train: "train_loss", val: "val_loss", percent: false };
const usual = readView("");

test("packed columns are cut into curves", () => {
  const curves = unpacked({
    curves: [{ run: 1, metric: "a", points: 2 }, { run: 2, metric: "a", points: 0 }, { run: 3, metric: "a", points: 1 }],
    columns: { x: packed(1, 2, 7), y: packed(0.5, NaN, 0.25) },
  });
  assert.deepEqual([...curves[0].x], [1, 2]);
  assert.ok(Number.isNaN(curves[0].y[1]));
  assert.deepEqual([...curves[1].x], []);
  assert.deepEqual([curves[2].x[0], curves[2].y[0]], [7, 0.25]);
});

test("live points are added once, and a gap stays one", () => {
  const before = curve(1, "val_loss", [1, 2], [3, 2], { last_step: 20, ends_at: 2 });
  const after = extended(before, [{ x: 2, y: 2, step: 20 }, { x: 3, y: null, step: 30 }, { x: 3, y: 9, step: 30 }]);
  assert.deepEqual([...after.x], [1, 2, 3]);
  assert.ok(Number.isNaN(after.y[2]));
  assert.deepEqual([after.last_step, after.total, after.ends_at], [30, 3, 2]);
  assert.equal(extended(after, [{ x: 1, y: 1, step: 10 }]), after);
});

test("smoothing is right from the first point on", () => {
  assert.deepEqual([...smoothed([4, 4, 4], 0.9)], [4, 4, 4]);
  const [first, second] = smoothed([0, 1], 0.5);
  assert.equal(first, 0);
  assert.ok(Math.abs(second - 2 / 3) < 1e-6); // (0.5 * 0.5 * 0 + 0.5 * 1) / 0.75
});

test("smoothing keeps gaps and goes on behind them", () => {
  const result = smoothed([2, NaN, 2, Infinity], 0.6);
  assert.deepEqual([...result].map(Number.isFinite), [true, false, true, false]);
  assert.equal(result[2], 2);
});

test("each point of a down-sampled curve fades the past by the points it stands for", () => {
  const all = smoothed([...Array(10).fill(0), ...Array(20).fill(1)], 0.9);
  const few = smoothed([0, 1, 1], 0.9, 10);
  assert.ok(Math.abs(all.at(-1) - few[2]) < 0.01, `${all.at(-1)} and ${few[2]}`);
  assert.deepEqual([...smoothed([1, 2], 0)], [1, 2]);
});

test("the nearest point is found between the ends of a curve alone", () => {
  assert.equal(nearestIndex([1, 5, 9], 6), 1);
  assert.equal(nearestIndex([1, 5, 9], 8), 2);
  assert.equal(nearestIndex([1, 5, 9], 10), -1);
  assert.equal(nearestIndex([1, 5, 9], 10, 2), 2);
  assert.equal(nearestIndex([4], 4), 0);
  assert.equal(nearestIndex([], 4), -1);
});

test("the nearest ten lines come by their distance to the cursor", () => {
  const curves = [...Array(30).keys()].map((run) => curve(run, "val_loss", [1, 2, 3], [run, run, run]));
  curves.push(curve(99, "val_loss", [1, 2, 3], [7, NaN, 7]), curve(98, "val_loss", [1], [7]));
  const found = nearest(curves, 2.1, (y) => Math.abs(y - 7));
  assert.equal(found.length, 10);
  assert.equal(found[0].curve.run, 7);
  assert.deepEqual(new Set(found.slice(1, 3).map((one) => one.curve.run)), new Set([6, 8]));
  assert.ok(found.every((one) => one.curve.run < 90), "a gap and a run that has ended are no neighbours");
});

test("the address holds the view and gives it back", () => {
  const search = "?run=3&run=4&cm=rows&x=seconds&y=log&lines=val&metric=loss&metric=batch_loss&smooth=0.6&group=optimizer.lr&band=sd&from=2&to=7.5&ylim=loss%3A0.1%3A2&pin=4";
  const view = readView(search);
  assert.deepEqual(view, {
    x: "seconds", y: "log", lines: "val", band: "sd", metrics: ["loss", "batch_loss"], smooth: 0.6,
    group: "optimizer.lr", from: 2, to: 7.5, limits: { loss: [0.1, 2] }, pin: 4,
  });
  const written = new URLSearchParams(writeView(search, view));
  assert.deepEqual(readView(`?${written}`), view);
  assert.deepEqual(written.getAll("run"), ["3", "4"]);
  assert.equal(written.get("cm"), "rows");
});

test("the usual view leaves nothing in the address, and nonsense is the usual view", () => {
  assert.equal(writeView("?run=1&x=step", usual), "?run=1");
  assert.deepEqual(readView("?x=week&from=&smooth=much&ylim=loss"), usual);
  assert.equal(writeView("", usual), "");
});

test("links to the page get the view of now", () => {
  assert.equal(withView("http://127.0.0.1/compare?run=1&x=step&cm=rows#a", "?run=9&y=log&metric=loss"), "/compare?run=1&cm=rows&y=log&metric=loss#a");
});

test("a run has a trace a series, dashed for training", () => {
  const curves = [curve(1, "train_loss", [1, 2], [3, 2]), curve(1, "val_loss", [1, 2], [3, 2]), curve(2, "val_loss", [1, 2], [3, 2], { best: [2, 2] })];
  const looks = new Map([[1, look("a")], [2, look("b", "#222222", "star")]]);
  const traces = curveTraces({ curves, looks, family: loss, smooth: 0 });
  const lines = traces.filter((trace) => trace.meta.run);
  assert.deepEqual(lines.map(({ meta, line }) => [meta.run, meta.series, line.dash]), [[1, "train_loss", "dash"], [1, "val_loss", "solid"], [2, "val_loss", "solid"]]);
  const best = traces.find((trace) => trace.meta.series === "best");
  assert.deepEqual([best.x, best.y, best.marker.symbol], [[2], [2], ["star"]]);
});

test("with many runs those of one colour share a trace, with a gap between any two", () => {
  const curves = [...Array(30).keys()].map((run) => curve(run, "val_loss", [1, 2], [run, run]));
  const looks = new Map(curves.map(({ run }) => [run, look(`run ${run}`, ["#111111", "#222222"][run % 2])]));
  const traces = curveTraces({ curves, looks, family: loss, smooth: 0 });
  assert.equal(traces.length, 2);
  assert.equal(traces[0].y.length, 15 * 3);
  assert.deepEqual([...traces[0].y.slice(0, 4)].map((y) => (Number.isNaN(y) ? null : y)), [0, 0, null, 2]);
  const drawn = traces.flatMap((trace) => [...trace.y].filter(Number.isFinite));
  assert.equal(drawn.length, 60, "every point of every run is drawn");
});

test("smoothed lines lie over faint raw ones", () => {
  const curves = [curve(1, "val_loss", [1, 2, 3], [4, 0, 4])];
  const [raw, smooth] = curveTraces({ curves, looks: new Map([[1, look("a")]]), family: loss, smooth: 0.5 });
  assert.equal(raw.opacity, 0.25);
  assert.deepEqual([...raw.y], [4, 0, 4]);
  assert.equal(smooth.opacity, 1);
  assert.ok(smooth.y[1] > 0);
});

test("a group's band is an outline that a gap cuts in two", () => {
  const group = { group: 0, metric: "val_loss", of: 3, x: column(1, 2, 3, 4), y: column(2, 2, NaN, 2), low: column(1, 1, NaN, 1), high: column(3, 3, NaN, 3), runs: column(3, 3, 0, 2), points: 4, total: 4, ends_at: 4 };
  const traces = curveTraces({ curves: [group], looks: new Map([[0, look("lr = 1")]]), family: loss, smooth: 0 });
  const band = traces.find((trace) => trace.fill);
  assert.deepEqual(band.x, [1, 2, 2, 1, null, 4, 4, null]);
  assert.deepEqual(band.y, [3, 3, 1, 1, null, 3, 1, null]);
  assert.equal(runsText(group.runs), "0 to 3");
  const rough = { ...group, high: column(3, 9, NaN, 3) };
  const [calm] = curveTraces({ curves: [rough], looks: new Map([[0, look("lr = 1")]]), family: loss, smooth: 0.9 });
  assert.ok(calm.y[1] < 7 && calm.y[1] > 3, "smoothing calms the band with its mean");
});

test("a value with a gap on both sides is drawn as a dot", () => {
  assert.deepEqual(alone([1, NaN, 2, 3, NaN, 4]), [0, 5]);
  assert.deepEqual(alone([5]), [0]);
  assert.deepEqual(alone([]), []);
});

test("no curves, an empty one and one point break nothing", () => {
  const looks = new Map([[1, look("a")]]);
  assert.deepEqual(curveTraces({ curves: [], looks, family: loss, smooth: 0.5 }), []);
  const traces = curveTraces({ curves: [curve(1, "val_loss", [], [])], looks, family: loss, smooth: 0 });
  assert.equal(traces[0].y.length, 0);
  const { rows } = tableRows([curve(1, "val_loss", [], [])], looks, loss, "Epoch");
  assert.deepEqual(rows[0].slice(0, 5), ["a", "validation", "0", "–", "–"]);
});

test("a zoom changes the view, on a logarithmic axis too", () => {
  const view = zoomed(usual, loss, { "xaxis.range[0]": 2, "xaxis.range[1]": 5, "yaxis.range[0]": 0.1, "yaxis.range[1]": 0.2 });
  assert.deepEqual([view.from, view.to, view.limits], [2, 5, { loss: [0.1, 0.2] }]);
  const log = { ...usual, y: "log" };
  assert.deepEqual(zoomed(log, loss, { "yaxis.range": [-1, 2] }).limits, { loss: [0.1, 100] });
  assert.deepEqual(zoomed(view, loss, { "xaxis.autorange": true, "yaxis.autorange": true }), usual);
  assert.equal(zoomed(usual, loss, { autosize: true }), null);
});

test("the layout shows the zoomed part", () => {
  const { xaxis, yaxis } = curveLayout(loss, { ...usual, from: 2, to: 5, limits: { loss: [0.1, 10] }, y: "log" });
  assert.deepEqual([xaxis.range, xaxis.autorange], [[2, 5], false]);
  assert.deepEqual([yaxis.range, yaxis.type], [[-1, 1], "log"]);
  const below = curveLayout(loss, { ...usual, limits: { loss: [-1, 1] }, y: "log" });
  assert.equal(below.yaxis.range, undefined, "a logarithm of what is below nought is none");
});

test("the notes name what was left out", () => {
  const labels = new Map([[1, "a"], [2, "b"], [3, "c"]]);
  const said = notes(
    { sampled_from: 100000, points_per_curve: 1000, ended: [{ run: 2, metric: "x", at: 20 }, { run: 2, metric: "y", at: 20 }], without: [{ run: 3 }], groups: [] },
    [], labels,
  );
  assert.match(said, /from 100,000 points to at most 1000/);
  assert.match(said, /1 run ends before the longest of its group: b at 20\./);
  assert.match(said, /Without any value here: c\./);
  assert.equal(notes({ sampled_from: null }, [], labels), "");
  assert.equal(figure(0.123456), "0.1235");
});
