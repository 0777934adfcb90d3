import assert from "node:assert/strict";
import { test } from "node:test";

import { figureFileName } from "../../app/static/js/lib/file-names.js";

const name = (title, path, format = "png") => figureFileName(title, `http://host${path}`, format);

test("a name says what is shown and of which runs", () => {
  assert.equal(name("Accuracy (solid: validation)", "/compare?run=1&run=22"), "tuneboard-accuracy-runs-1-22.png");
  assert.equal(name("Wall clock", "/runs/7", "svg"), "tuneboard-wall-clock-run-7.svg");
  assert.equal(figureFileName("Loss", "file:///tmp/x.html", "svg"), "tuneboard-loss.svg");
});

test("markup, slashes and emoji do not get into a name", () => {
  assert.equal(name("<script>alert(1)</script> ../🐜 é", "/"), "tuneboard-script-alert-script-e.png");
});

test("many runs are not all named", () => {
  const query = Array.from({ length: 20 }, (_, index) => `run=${index + 1}`).join("&");
  assert.equal(name("", `/compare?${query}`), "tuneboard-runs-1-2-3-4-5-6-7-8-more.png");
});
