import assert from "node:assert/strict";
import { test } from "node:test";

import { DRAFT_DAYS, describeDraft, differences, makeDraft, readDraft } from "../../app/static/js/lib/draft.js";
import { showsLaunched } from "../../app/static/js/lib/kept.js";

const DAY = 86_400_000;
const ENTRIES = [["csrf_token", "x"], ["optimizer.lr", "0.1"], ["note", ""], ["source", "form"]];

test("a draft is read back as it was, without what is of no use later", () => {
  const draft = makeDraft(ENTRIES, "/launch", 5);
  assert.deepEqual(draft.entries, [["optimizer.lr", "0.1"], ["note", ""]]);
  assert.deepEqual(readDraft(JSON.stringify(draft), 6), draft);
});

test("an old draft, none and nonsense are no draft", () => {
  const text = JSON.stringify(makeDraft(ENTRIES, "/launch", 0));
  assert.equal(readDraft(text, (DRAFT_DAYS + 1) * DAY), null);
  for (const bad of [null, "", "{", "[]", '{"entries": 3}', '{"entries": []}']) assert.equal(readDraft(bad, 0), null);
});

test("only what differs counts, several values of one name too", () => {
  const draft = makeDraft([["a", "1"], ["b", "2"], ["b", "3"], ["gone", "4"]], "/launch", 0);
  assert.deepEqual(differences(draft, [["a", " 1 "], ["b", "2"], ["new", ""], ["csrf_token", "y"]]), [
    ["b", "2", "2\n3"],
    ["gone", "", "4"],
  ]);
});

test("a draft says what it holds", () => {
  const changed = ["spec_yaml", "name", "note", "a", "b"].map((name) => [name, "", "x"]);
  assert.equal(
    describeDraft(changed, "today"),
    "You typed something here that was not launched, today: name, note, a and 1 more.",
  );
  assert.equal(describeDraft([["spec_yaml", "", "x"]], "today"), "You typed something here that was not launched, today.");
});

test("a run's or a study's own page is what a launch leads to", () => {
  assert.deepEqual(["/runs/12", "/studies/3", "/runs", "/launch", "/runs/12/files"].map(showsLaunched), [true, true, false, false, false]);
});
