import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { SharedStream } from "../../app/static/js/lib/stream.js";

class FakeSource extends EventTarget {
  static opened = [];
  closed = false;

  constructor(address) {
    super();
    this.address = address;
    FakeSource.opened.push(this);
  }

  close() {
    this.closed = true;
  }

  say(name, data) {
    const message = new Event(name);
    message.data = JSON.stringify(data);
    this.dispatchEvent(message);
  }
}

function fixture() {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  FakeSource.opened = [];
  const told = [];
  const stream = new SharedStream(
    "/stream",
    (tab, message) => told.push([tab, message]),
    (address) => new FakeSource(address),
  );
  const newest = () => FakeSource.opened.at(-1);
  const ofType = (type) => told.filter(([, message]) => message.type === type);
  return { stream, newest, ofType };
}

test("tabs restored together share one opening", () => {
  const { stream } = fixture();
  for (let tab = 0; tab < 8; tab += 1) stream.subscribe(tab, { runs: { [tab + 1]: 0 } });
  mock.timers.tick(0);
  assert.equal(FakeSource.opened.length, 1);
  assert.equal(new URLSearchParams(FakeSource.opened[0].address.split("?")[1]).getAll("run").length, 8);
});

test("events reach the tabs they concern", () => {
  const { stream, newest, ofType } = fixture();
  stream.subscribe("a", { runs: { 1: 5 } });
  stream.subscribe("b", { topics: ["runs"] });
  mock.timers.tick(0);
  newest().say("run", { run: 1, seq: 6, kind: "log" });
  newest().say("runs", { runs: [{ id: 1 }], gone: [] });
  assert.deepEqual(ofType("run").map(([tab]) => tab), ["a"]);
  assert.deepEqual(ofType("runs").map(([tab]) => tab), ["b"]);
});

test("after an error it comes back from where its tabs are, more patiently each time", () => {
  const { stream, newest } = fixture();
  stream.subscribe("a", { runs: { 1: 5 } });
  mock.timers.tick(0);
  newest().say("run", { run: 1, seq: 9, kind: "log" });
  newest().dispatchEvent(new Event("error"));
  assert.ok(FakeSource.opened[0].closed);
  mock.timers.tick(499);
  assert.equal(FakeSource.opened.length, 1);
  mock.timers.tick(1);
  assert.equal(FakeSource.opened.length, 2);
  assert.match(newest().address, /cursor=1%3A9/);
  newest().dispatchEvent(new Event("error"));
  mock.timers.tick(999);
  assert.equal(FakeSource.opened.length, 2);
  mock.timers.tick(1);
  assert.equal(FakeSource.opened.length, 3);
});

test("tabs are told whether the stream is open", () => {
  const { stream, newest, ofType } = fixture();
  stream.subscribe("a", { runs: { 1: 5 } });
  mock.timers.tick(0);
  newest().dispatchEvent(new Event("open"));
  newest().dispatchEvent(new Event("error"));
  assert.deepEqual(ofType("state").map(([, { state }]) => state), ["open", "retrying"]);
});

test("the stream closes with its last tab", () => {
  const { stream, newest } = fixture();
  stream.subscribe("a", { runs: { 1: 5 } });
  stream.subscribe("b", { runs: { 1: 5 } });
  mock.timers.tick(0);
  stream.unsubscribe("a");
  assert.ok(!newest().closed);
  stream.unsubscribe("b");
  assert.ok(newest().closed);
});

test("a message of a stream that was replaced is dropped", () => {
  const { stream, newest, ofType } = fixture();
  stream.subscribe("a", { runs: { 1: 5 } });
  mock.timers.tick(0);
  const old = newest();
  stream.subscribe("b", { runs: { 2: 0 } });
  mock.timers.tick(0);
  assert.ok(old.closed);
  old.say("run", { run: 1, seq: 6, kind: "log" });
  assert.equal(ofType("run").length, 0);
});
