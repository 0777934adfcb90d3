import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { crc32, whyNot, zipOf } from "../../app/static/js/lib/zip.js";

const entry = (path, text) => ({ path, file: new Blob([text]) });

test("the checksum is the published one", () => {
  const bytes = new TextEncoder().encode("123456789");
  assert.equal(crc32(bytes), 0xcbf43926);
  assert.equal(crc32(bytes.slice(4), crc32(bytes.slice(0, 4))), 0xcbf43926);
});

test("another program reads the archive, names in UTF-8 too", async () => {
  const blob = await zipOf([entry("pets/dogs/Bäß.png", "woof"), entry("pets/cats/a.png", "meow"), entry("pets/cats/empty.png", "")]);
  const folder = mkdtempSync(join(tmpdir(), "tuneboard-zip-"));
  try {
    const file = join(folder, "pets.zip");
    writeFileSync(file, new Uint8Array(await blob.arrayBuffer()));
    const code = "import sys, zipfile, json; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(json.dumps({n: z.read(n).decode() for n in z.namelist()}))";
    const read = JSON.parse(execFileSync("python3", ["-c", code, file], { encoding: "utf-8" }));
    assert.deepEqual(read, { "pets/cats/a.png": "meow", "pets/cats/empty.png": "", "pets/dogs/Bäß.png": "woof" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the same files give the same bytes in whatever order they come", async () => {
  const files = [entry("b.png", "2"), entry("a.png", "1")];
  const told = [];
  const first = await (await zipOf(files, { onProgress: (done, total) => told.push([done, total]) })).text();
  assert.equal(first, await (await zipOf([...files].reverse())).text());
  assert.deepEqual(told, [[1, 2], [2, 2]]);
});

test("what cannot be packed is said", () => {
  assert.equal(whyNot([entry("a.png", "1")]), "");
  assert.match(whyNot([]), /no images/);
  assert.match(whyNot(Array(65_535).fill({ path: "a.png", file: { size: 1 } })), /too many files/);
  assert.match(whyNot([{ path: "a.png", file: { size: 2 ** 32 } }]), /4 GB/);
});
