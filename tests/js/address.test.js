import assert from "node:assert/strict";
import { test } from "node:test";

import { changedKeys, withKeys } from "../../app/static/js/lib/address.js";

test("parameters are set and taken away, the others stay", () => {
  assert.equal(withKeys("?run=1&run=2&x=step", { flip: ["fixed"], x: [] }), "?run=1&run=2&flip=fixed");
  assert.equal(withKeys("?page=3", { page: [] }), "");
  assert.equal(withKeys("?page=3", { page: [4] }), "?page=4");
  assert.equal(withKeys("?columns=a", { columns: ["b", "c"] }), "?columns=b&columns=c");
});

test("what differs between two addresses is told, repeated parameters included", () => {
  const changed = changedKeys("?run=1&run=2&flip=fixed", "?run=1&run=3&flip=fixed&page=2");
  assert.deepEqual([...changed].sort(), ["page", "run"]);
  assert.equal(changedKeys("?a=1", "?a=1").size, 0);
});
