import assert from "node:assert/strict";
import { test } from "node:test";

import { completed, completions } from "../../app/static/js/lib/complete.js";
import { tidyQuery } from "../../app/static/js/lib/address.js";

const FIELDS = [
  { name: "status", title: "Status", kind: "choice", values: ["queued", "failed"], filters: true },
  { name: "tag", title: "Tags", kind: "tags", values: ["paper", "week 48"], filters: true },
  { name: "optimizer.lr", title: "Learning rate", kind: "number", values: [], filters: true },
  { name: "best_val_accuracy", title: "Best val. accuracy", kind: "number", values: [], filters: true },
  { name: "curve_val_accuracy", title: "Curve", kind: "number", values: [], filters: false },
  { name: "training.nesterov", title: "Nesterov", kind: "flag", values: [], filters: true },
];
const offered = (text, place = text.length) => completions(text, place, FIELDS).options.map((one) => one.text);

test("an empty filter begins with a field", () => {
  assert.deepEqual(offered(""), ["status", "tag", "optimizer.lr", "best_val_accuracy", "training.nesterov", "not"]);
});

test("a part of a name or of its title finds the field", () => {
  assert.deepEqual(offered("lr"), ["optimizer.lr"]);
  assert.deepEqual(offered("status = failed and rate"), ["optimizer.lr"]);
  assert.deepEqual(offered("(val_acc"), ["best_val_accuracy"]);
});

test("after a field come its comparisons, after a comparison its values", () => {
  assert.deepEqual(offered("status "), ["=", "!=", "in"]);
  assert.deepEqual(offered("(tag "), ["=", "~", "!=", "in"]);
  assert.deepEqual(offered("status = "), ["queued", "failed"]);
  assert.deepEqual(offered("status=f"), ["failed"]);
  assert.deepEqual(offered("training.nesterov = "), ["yes", "no"]);
  assert.deepEqual(offered("optimizer.lr < "), []);
});

test("lists are completed value by value", () => {
  assert.deepEqual(offered("tag in "), ["("]);
  assert.deepEqual(offered("tag in ("), ["paper", '"week 48"']);
  assert.deepEqual(offered("tag in (paper, "), ["paper", '"week 48"']);
});

test("after a value come the joining words", () => {
  assert.deepEqual(offered("status = failed "), ["and", "or"]);
  assert.deepEqual(offered("tag in (paper) a"), ["and"]);
});

test("the word at the cursor is replaced, whatever follows", () => {
  const text = "sta and tag = paper";
  const found = completions(text, 3, FIELDS);
  assert.deepEqual(completed(text, found, found.options[0]), { text: "status and tag = paper", place: 7 });
  const inside = completions("optim = 3", 2, FIELDS);
  assert.deepEqual([inside.start, inside.end], [0, 5]);
  assert.deepEqual(completed("lr", completions("lr", 2, FIELDS), { text: "optimizer.lr" }), {
    text: "optimizer.lr ",
    place: 13,
  });
});

test("an address leaves out empty fields and joins lists", () => {
  const pairs = [["q", " "], ["filter", "a = b"], ["columns", "x"], ["columns", "y,z"], ["columns", ""]];
  assert.equal(tidyQuery(pairs, ["columns"]), "?filter=a+%3D+b&columns=x%2Cy%2Cz");
  assert.equal(tidyQuery([["q", ""]]), "");
});
