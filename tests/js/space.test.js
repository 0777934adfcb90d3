import assert from "node:assert/strict";
import { test } from "node:test";

import { spaceText, withField } from "../../app/static/js/lib/space.js";

test("values become a list, and numbers that YAML would read as text are written out", () => {
  assert.equal(spaceText("0.1, 0.01 ,1e-3"), "[0.1, 0.01, 0.001]");
  assert.equal(spaceText("1e-9"), "[1.0e-9]");
  assert.equal(spaceText("resnet18, resnet50"), "[resnet18, resnet50]");
  assert.equal(spaceText("  "), null);
  assert.equal(spaceText("[1, 2]"), "[1, 2]");
});

test("two ends become a range", () => {
  assert.equal(spaceText("0.0001 .. 0.1 log"), "{low: 0.0001, high: 0.1, log: true}");
  assert.equal(spaceText("8 to 64 step 8"), "{low: 8, high: 64, step: 8}");
  assert.equal(spaceText("1e-4 .. 1e-1 log count 4"), "{low: 0.0001, high: 0.1, log: true, count: 4}");
});

test("a field's line takes the place of its older one", () => {
  assert.equal(withField("", "optimizer.lr", "[1]"), "optimizer.lr: [1]");
  assert.equal(withField("a: [1]\nb:\n  - 1\n  - 2\nc: [3]\n", "b", "[5]"), "a: [1]\nb: [5]\nc: [3]");
});
