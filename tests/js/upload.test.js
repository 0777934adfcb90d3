import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { PIECE_BYTES, TRIES, UploadProblem, Uploads, keyOf, nameFrom, secondsLeft, waitMs } from "../../app/static/js/lib/upload.js";

/** A server that holds what arrives, and does to a request what `trouble` says first. */
function server(trouble = () => null) {
  const held = { bytes: new Uint8Array(0), asked: [] };
  const answer = (status, body, offset) =>
    new Response(body === undefined ? null : JSON.stringify(body), { status, headers: offset === undefined ? {} : { "Upload-Offset": String(offset) } });
  held.ask = async (url, { method, headers, body }) => {
    held.asked.push(`${method} ${url}`);
    const wrong = await trouble(held, method, body);
    if (wrong) return wrong;
    if (method === "HEAD") return answer(200, undefined, held.bytes.length);
    if (method === "POST") return answer(201, { url: "/datasets/flowers" });
    const offset = Number(headers["Upload-Offset"]);
    if (offset !== held.bytes.length) return answer(409, { detail: "elsewhere", errors: [] });
    held.bytes = joined(held.bytes, new Uint8Array(await body.arrayBuffer()));
    return answer(204, undefined, held.bytes.length);
  };
  return held;
}

function joined(first, second) {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

const content = Uint8Array.from({ length: 2 * PIECE_BYTES + 7 }, (_, place) => place % 251);
const blob = new Blob([content]);
const fresh = () => ({ url: "/u", offset: 0 });
const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");

test("a file is sent in pieces and arrives whole", async () => {
  const held = server();
  const told = [];
  await new Uploads("token", held.ask).send(fresh(), blob, { onProgress: (offset) => told.push(offset) });
  assert.equal(hash(held.bytes), hash(content));
  assert.deepEqual(told, [0, PIECE_BYTES, 2 * PIECE_BYTES, content.length]);
});

test("after lost connections and servers at their limits it goes on from where the server is", async () => {
  let count = 0;
  const waits = [];
  const held = server(async (state, method, body) => {
    if (method !== "PATCH") return null;
    count += 1;
    if (count === 2) {
      state.bytes = joined(state.bytes, new Uint8Array(await body.slice(0, 99).arrayBuffer()));
      throw new TypeError("network");
    }
    return count === 3 ? new Response("busy", { status: 503 }) : null;
  });
  const uploads = new Uploads("token", held.ask, async (ms) => waits.push(ms));
  await uploads.send(fresh(), blob);
  assert.equal(hash(held.bytes), hash(content));
  assert.deepEqual(waits, [waitMs(1), waitMs(2)]);
});

test("where the next byte belongs elsewhere, the server is asked", async () => {
  const held = server();
  held.bytes = content.slice(0, 5);
  await new Uploads("token", held.ask, async () => {}).send(fresh(), blob);
  assert.equal(hash(held.bytes), hash(content));
});

test("what trying again cannot mend is told at once, in the server's words", async () => {
  const problem = { detail: "x", remedy: "y", errors: [{ field: "file", message: "Expected a zip archive." }] };
  const held = server(() => new Response(JSON.stringify(problem), { status: 422 }));
  await assert.rejects(new Uploads("token", held.ask).send(fresh(), blob), (error) => {
    assert.ok(error instanceof UploadProblem);
    assert.deepEqual([error.message, error.status, error.field], ["Expected a zip archive.", 422, "file"]);
    return true;
  });
  assert.equal(held.asked.length, 1);
});

test("it gives up after tries in vain", async () => {
  const held = server((_, method) => (method === "PATCH" ? new Response("", { status: 502 }) : null));
  await assert.rejects(new Uploads("token", held.ask, async () => {}).send(fresh(), blob), /status 502/);
  assert.equal(held.asked.filter((line) => line.startsWith("PATCH")).length, TRIES + 1);
});

test("an aborted upload is not tried again", async () => {
  const work = new AbortController();
  const held = server(() => {
    work.abort();
    throw work.signal.reason;
  });
  await assert.rejects(new Uploads("token", held.ask).send(fresh(), blob, { signal: work.signal }), { name: "AbortError" });
  assert.equal(held.asked.length, 1);
});

test("whether a file continues what arrived is told by its last part", async () => {
  const uploads = new Uploads("token");
  const upload = { offset: 1000, tail_sha256: hash(content.slice(0, 1000)) };
  assert.equal(await uploads.continues(upload, blob), true);
  assert.equal(await uploads.continues(upload, new Blob([content.slice(1)])), false);
});

test("names, keys and words", () => {
  assert.equal(nameFrom("My Flowers (2).ZIP"), "my-flowers-2");
  assert.equal(nameFrom("Blüten.zip"), "bluten");
  assert.equal(nameFrom("---.zip"), "");
  assert.equal(keyOf({ name: "a.zip", size: 3, lastModified: 7 }), "a.zip:3:7");
  assert.equal(secondsLeft([[0, 0], [1000, 500]], 2000), 3);
  assert.equal(secondsLeft([[0, 0]], 2000), null);
  assert.equal(waitMs(1), 500);
  assert.equal(waitMs(20), 10_000);
});
