import assert from "node:assert/strict";
import { test } from "node:test";

import { asToasts, readMemory, takeNews } from "../../app/static/js/lib/notices.js";

const run = (id, changes = {}) => ({
  key: `run ${id}`,
  kind: "run",
  id,
  name: `r${id}`,
  owner: "ann",
  how: "succeeded",
  at: 100 + id,
  study_id: null,
  url: `/runs/${id}`,
  ...changes,
});
const mine = { owner: "ann", whose: "mine", members: false };
const fresh = { since: 100, seen: [] };

test("what ended before the browser's first page is no news", () => {
  const memory = readMemory(null, 102);
  assert.deepEqual(memory, { since: 102, seen: [] });
  assert.deepEqual(takeNews([run(1), run(3)], memory, mine).news.map(({ id }) => id), [3]);
});

test("what was told is not told again", () => {
  const first = takeNews([run(2), run(1)], fresh, mine);
  assert.deepEqual(first.news.map(({ id }) => id), [1, 2]);
  const kept = readMemory(JSON.stringify(first.memory), 999);
  assert.deepEqual(takeNews([run(1), run(2), run(3)], kept, mine).news.map(({ id }) => id), [3]);
});

test("others' runs are told only where that was chosen, and not later", () => {
  const theirs = [run(1, { owner: "ben" })];
  const { news, memory } = takeNews(theirs, fresh, mine);
  assert.equal(news.length, 0);
  assert.equal(takeNews(theirs, memory, { ...mine, whose: "all" }).news.length, 0);
  assert.equal(takeNews(theirs, fresh, { ...mine, whose: "all" }).news.length, 1);
  assert.equal(takeNews([run(1)], fresh, { ...mine, whose: "none" }).news.length, 0);
});

test("of a study its end is told and what failed, its runs only where that was chosen", () => {
  const ended = [
    run(1, { study_id: 7 }),
    run(2, { study_id: 7, how: "failed" }),
    run(7, { kind: "study", how: "ended", key: "study 7" }),
  ];
  assert.deepEqual(takeNews(ended, fresh, mine).news.map(({ id }) => id), [2, 7]);
  assert.equal(takeNews(ended, fresh, { ...mine, members: true }).news.length, 3);
});

test("memory that is none of ours begins anew", () => {
  assert.deepEqual(readMemory("[]", 5), { since: 5, seen: [] });
  assert.deepEqual(readMemory("{", 5), { since: 5, seen: [] });
});

test("a few are said one by one, many in one line", () => {
  assert.deepEqual(asToasts([run(1, { how: "failed" })]), [
    { text: "Run 1, r1, has failed.", url: "/runs/1", tone: "bad" },
  ]);
  const [one, ...others] = asToasts([run(1), run(2), run(3), run(4, { how: "cancelled" })]);
  assert.equal(others.length, 0);
  assert.equal(one.text, "Since you last looked: 3 runs succeeded, 1 run cancelled.");
});
