import assert from "node:assert/strict";
import { test } from "node:test";

import { applies, matching } from "../../app/static/js/lib/applies.js";
import { ago, duration, percent } from "../../app/static/js/lib/format.js";
import { progressView } from "../../app/static/js/lib/progress.js";

test("durations read as on the server", () => {
  assert.deepEqual(
    [0.44, 9.96, 59.4, 185, 7440, 180000, NaN].map(duration),
    ["0.4 s", "10 s", "59 s", "3 min 05 s", "2 h 04 min", "2 d 02 h", "–"],
  );
  assert.deepEqual([1, 75, NaN].map(ago), ["just now", "1 min 15 s ago", "–"]);
  assert.deepEqual([percent(0.98765), percent(0.5, 2), percent(NaN)], ["98.8 %", "50.00 %", "–"]);
});

test("progress says epoch, step, speed and what is left", () => {
  const view = progressView({
    phase: "train", epoch: 6, epochs: 20, step: 237, steps: 900, samples_per_s: 1520.4, eta_s: 18, elapsed_s: 6.3,
  });
  assert.equal(view.fraction, 237 / 900);
  assert.equal(view.epochs, "6 / 20");
  assert.equal(view.speed, "1520 images/s");
  assert.equal(view.eta, "18 s left");
});

test("progress without an estimate or steps stays silent about them", () => {
  const view = progressView({
    phase: "features", epoch: 0, epochs: 3, step: 0, steps: 0, samples_per_s: null, eta_s: null, elapsed_s: 0,
  });
  assert.deepEqual([view.fraction, view.speed, view.eta, view.phase], [0, "", "", "computing features"]);
});

test("a field applies where every named field has one of its values", () => {
  const typed = { "optimizer.name": "adam" };
  const valueOf = (path) => typed[path];
  assert.ok(!applies({ "optimizer.name": ["sgd"] }, valueOf));
  assert.ok(applies({ "optimizer.name": ["sgd", "adam"] }, valueOf));
  assert.ok(applies({}, valueOf));
});

test("names that begin with what is typed come first", () => {
  const names = ["timm/resnet18", "wide_resnet50_2", "resnet18", "vgg11"];
  assert.deepEqual(matching(names, "resnet", 3), ["resnet18", "timm/resnet18", "wide_resnet50_2"]);
  assert.deepEqual(matching(names, "RESNET", 1), ["resnet18"]);
  assert.equal(matching(names, "", 10).length, 4);
});
