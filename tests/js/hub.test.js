import assert from "node:assert/strict";
import { test } from "node:test";

import { Hub } from "../../app/static/js/lib/hub.js";

test("one query serves all tabs, from where the one that knows least is", () => {
  const hub = new Hub();
  hub.subscribe("a", { runs: { 1: 45 }, topics: ["runs"] });
  hub.subscribe("b", { runs: { 1: 40, 2: 17 } });
  assert.equal(hub.query().toString(), "run=1&run=2&topic=runs&cursor=1%3A40%2C2%3A17");
});

test("without tabs there is nothing to ask for", () => {
  const hub = new Hub();
  assert.equal(hub.query(), null);
  hub.subscribe("a", { topics: ["runs"] });
  hub.unsubscribe("a");
  assert.ok(hub.isEmpty);
  assert.equal(hub.query(), null);
});

test("an event goes once to each tab that has not seen it", () => {
  const hub = new Hub();
  hub.subscribe("a", { runs: { 1: 45 } });
  hub.subscribe("b", { runs: { 1: 40 } });
  hub.subscribe("c", { runs: { 2: 0 } });
  assert.deepEqual(hub.takersOfEvent({ run: 1, seq: 41 }), ["b"]);
  assert.deepEqual(hub.takersOfEvent({ run: 1, seq: 41 }), []);
  assert.deepEqual(hub.takersOfEvent({ run: 1, seq: 46 }), ["a", "b"]);
});

test("the cursor follows what was handed over", () => {
  const hub = new Hub();
  hub.subscribe("a", { runs: { 1: 45 } });
  hub.takersOfEvent({ run: 1, seq: 50 });
  assert.equal(hub.query().get("cursor"), "1:50");
});

test("the stream is opened anew only where it lacks something", () => {
  const hub = new Hub();
  assert.ok(hub.subscribe("a", { runs: { 1: 45 } }), "the first tab needs a stream");
  assert.ok(!hub.subscribe("b", { runs: { 1: 45 } }), "it already tells run 1 from there");
  assert.ok(!hub.subscribe("c", { runs: { 1: 60 } }), "a tab ahead of it needs nothing");
  assert.ok(hub.subscribe("d", { runs: { 1: 44 } }), "a tab behind it missed events");
  assert.ok(hub.subscribe("e", { runs: { 2: 0 } }), "run 2 is new");
  assert.ok(hub.subscribe("f", { topics: ["runs"] }), "the topic is new");
  assert.ok(hub.subscribe("g", { topics: ["runs"] }), "a topic's rows come whole on connecting only");
});

test("a topic goes to those who listen to it", () => {
  const hub = new Hub();
  hub.subscribe("a", { topics: ["runs"] });
  hub.subscribe("b", { topics: ["workers", "runs"] });
  assert.deepEqual(hub.takersOfTopic("runs"), ["a", "b"]);
  assert.deepEqual(hub.takersOfTopic("workers"), ["b"]);
});
