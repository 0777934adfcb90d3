// Sends a file in pieces to /api/v1/uploads and goes on after cuts; knows nothing of the page.

export const PIECE_BYTES = 4 * 1024 * 1024;
export const TRIES = 8; // in a row without a byte arriving; half a minute with the waits between
const TAIL_BYTES = 256 * 1024;
const WAIT_MS = 500;
const WAIT_LIMIT_MS = 10_000;

/** What an answer says went wrong; `status` 0: nobody answered. */
export class UploadProblem extends Error {
  constructor(message, status, field = "") {
    super(message);
    this.status = status;
    this.field = field;
  }
}

/** How a file is recognised when it is chosen again. */
export function keyOf({ name, size, lastModified }) {
  return `${name}:${size}:${lastModified}`;
}

/** A dataset's name made from a file's: lower case, without what a name cannot have. */
export function nameFrom(filename) {
  const stem = filename.replace(/\.zip$/i, "").toLowerCase().normalize("NFKD").replace(/\p{M}+/gu, "");
  return stem.replace(/[^a-z0-9._-]+/g, "-").replace(/^[^a-z0-9]+/, "").slice(0, 64).replace(/-+$/, "");
}

/** Milliseconds before the next try, after so many in vain. */
export function waitMs(tries) {
  return Math.min(WAIT_LIMIT_MS, WAIT_MS * 2 ** Math.max(0, tries - 1));
}

/** Seconds until the rest has arrived, from [milliseconds, bytes] seen lately; null: unknown. */
export function secondsLeft(seen, size) {
  if (seen.length < 2) return null;
  const [[firstMs, firstBytes], [lastMs, lastBytes]] = [seen[0], seen.at(-1)];
  if (lastMs <= firstMs || lastBytes <= firstBytes) return null;
  return ((size - lastBytes) * (lastMs - firstMs)) / (lastBytes - firstBytes) / 1000;
}

export class Uploads {
  #ask;
  #token;
  #pause;

  /** `ask` and `pause` stand in for fetch and waiting in tests. */
  constructor(token, ask = (...request) => fetch(...request), pause = undefined) {
    this.#ask = ask;
    this.#token = token;
    this.#pause = pause ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  }

  /** The unfinished upload of that key; null without one. */
  async find(key) {
    const { uploads } = await this.#json("GET", "/api/v1/uploads");
    return uploads.find((upload) => upload.key === key) ?? null;
  }

  begin(wanted) {
    return this.#json("POST", "/api/v1/uploads", wanted);
  }

  remove(upload) {
    return this.#json("DELETE", upload.url);
  }

  /** The dataset of that name that everything sent makes; tried again where the connection is lost. */
  async finish(upload, name, signal) {
    return this.#persist(() => this.#json("POST", `${upload.url}/finish`, { name }, signal), signal);
  }

  /** Whether what has arrived is the beginning of `blob`, as far as the last piece of it tells. */
  async continues(upload, blob) {
    if (!globalThis.crypto?.subtle) return true; // pages without HTTPS have no hashes
    const tail = blob.slice(Math.max(0, upload.offset - TAIL_BYTES), upload.offset);
    const digest = await crypto.subtle.digest("SHA-256", await tail.arrayBuffer());
    const hex = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0"));
    return hex.join("") === upload.tail_sha256;
  }

  /** Send all of `blob` from where the server is; `onProgress` is told how much has arrived. */
  async send(upload, blob, { onProgress = () => {}, onTrouble = () => {}, signal } = {}) {
    let offset = upload.offset;
    let tries = 0;
    onProgress(offset);
    while (offset < blob.size) {
      try {
        const piece = blob.slice(offset, offset + PIECE_BYTES);
        offset = await this.#patch(upload.url, piece, offset, signal);
        tries = 0;
        onProgress(offset);
      } catch (problem) {
        if (!isPassing(problem, signal) || ++tries > TRIES) throw problem;
        onTrouble(problem, tries);
        await this.#pause(waitMs(tries), signal);
        offset = await this.#persist(() => this.#offset(upload.url, signal), signal);
        onProgress(offset);
      }
    }
  }

  async #persist(ask, signal) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await ask();
      } catch (problem) {
        if (problem.status === 409 || !isPassing(problem, signal) || tries > TRIES) throw problem;
        await this.#pause(waitMs(tries), signal);
      }
    }
  }

  async #patch(url, piece, offset, signal) {
    const headers = {
      "Content-Type": "application/offset+octet-stream",
      "Upload-Offset": String(offset),
    };
    const answer = await this.#request("PATCH", url, { headers, body: piece, signal });
    return Number(answer.headers.get("Upload-Offset"));
  }

  async #offset(url, signal) {
    const answer = await this.#request("HEAD", url, { signal });
    return Number(answer.headers.get("Upload-Offset"));
  }

  async #json(method, url, body, signal) {
    const how = { signal };
    if (body !== undefined) {
      how.headers = { "Content-Type": "application/json" };
      how.body = JSON.stringify(body);
    }
    const answer = await this.#request(method, url, how);
    return answer.status === 204 ? null : answer.json();
  }

  async #request(method, url, { headers = {}, ...how }) {
    let answer;
    try {
      const own = { Accept: "application/json", "X-CSRF-Token": this.#token };
      answer = await this.#ask(url, { method, headers: { ...own, ...headers }, cache: "no-store", ...how });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new UploadProblem("The server does not answer.", 0);
    }
    if (!answer.ok) throw await problemOf(answer);
    return answer;
  }
}

/** Whether trying again may help: no answer, a server at its limits, or another place than thought. */
function isPassing(problem, signal) {
  if (signal?.aborted || !(problem instanceof UploadProblem)) return false;
  return problem.status === 0 || problem.status === 409 || problem.status === 429 || (problem.status >= 500 && problem.status !== 507);
}

async function problemOf(answer) {
  let told = {};
  try {
    told = await answer.json();
  } catch {
    // A proxy's page, or no body at all: the status says what there is to say.
  }
  const [first] = told.errors ?? [];
  const detail = first?.message ?? told.detail ?? `The server answered with status ${answer.status}.`;
  const remedy = first ? "" : (told.remedy ?? "");
  return new UploadProblem([detail, remedy].filter(Boolean).join(" "), answer.status, first?.field ?? "");
}
