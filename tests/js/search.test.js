import assert from "node:assert/strict";
import { test } from "node:test";

import { holds } from "../../app/static/js/lib/search.js";

test("a text is found in any case", () => {
  assert.ok(holds("Epoch 3 of 12: 98 % right", "EPOCH 3"));
  assert.ok(holds("Grüße", "grÜSSE".replace("SS", "ß")));
  assert.ok(!holds("Epoch 3", "epoch 4"));
});

test("spaces at the ends do not count, and nothing is in everything", () => {
  assert.ok(holds("anything", "  "));
  assert.ok(holds("Out of memory", " memory "));
});
