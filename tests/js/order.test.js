import assert from "node:assert/strict";
import { test } from "node:test";

import { dropPlace } from "../../app/static/js/lib/order.js";

const boxes = ["a", "b", "c"].map((id, index) => ({ id, top: index * 10, height: 10 }));

test("a row lands before the first whose middle is below the pointer", () => {
  assert.deepEqual(dropPlace(boxes, "c", 2), { before: "a" });
  assert.deepEqual(dropPlace(boxes, "c", 8), { before: "b" });
  assert.deepEqual(dropPlace(boxes, "a", 18), { before: "c" });
});

test("below all it comes last", () => {
  assert.deepEqual(dropPlace(boxes, "a", 99), { after: "c" });
});

test("where it stands already, or alone, nothing moves", () => {
  assert.equal(dropPlace(boxes, "b", 12), null);
  assert.equal(dropPlace(boxes, "c", 99), null);
  assert.equal(dropPlace([boxes[0]], "a", 5), null);
  assert.equal(dropPlace(boxes, "z", 5), null);
});
