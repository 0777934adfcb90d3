// The form that uploads an archive: drag and drop, progress, pause, cancel, going on after a cut.

import { duration } from "./lib/format.js";
import { UploadProblem, Uploads, keyOf, nameFrom, secondsLeft } from "./lib/upload.js";
import { IMAGE_NAME, whyNot, zipOf } from "./lib/zip.js";

const ZIP_STARTS = ["504b0304", "504b0506"];
const SEEN_LIMIT = 20; // pieces by which the speed is judged
const EXPECTED = "Expected a .zip archive, a folder of images, or images.";

const form = document.getElementById("upload-form");

class Panel {
  #parts;
  #chosen = null; // { name, blob, key } or { name, entries, key }
  #work = null; // AbortController of what is under way
  #upload = null;
  #uploads = new Uploads(document.querySelector('meta[name="csrf-token"]').content);

  constructor() {
    this.#parts = Object.fromEntries(
      [...document.querySelectorAll("[data-upload]")].map((part) => [part.dataset.upload, part]),
    );
    const { drop, folder, pause, cancel } = this.#parts;
    drop.hidden = false;
    form.file.required = false;
    form.file.multiple = true; // without a script, the form takes one archive
    form.file.addEventListener("change", () => form.file.files[0] && this.#chooseFiles([...form.file.files]));
    folder.addEventListener("change", () => this.#chooseFolder([...folder.files]));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run();
    });
    pause.addEventListener("click", () => (this.#work ? this.#stop() : this.#run()));
    cancel.addEventListener("click", () => this.#cancel());
    followDrops(drop, (items) => this.#chooseDropped(items));
  }

  async #chooseDropped(items) {
    const entries = items.map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = items.map((item) => item.getAsFile()).filter(Boolean);
    if (!entries.some((entry) => entry.isDirectory)) return this.#chooseFiles(files);
    const found = [];
    for (const entry of entries) await collect(entry, "", found);
    return this.#chooseEntries(found, entries[0].name);
  }

  #chooseFolder(files) {
    if (!files.length) return;
    const found = files.map((file) => ({ path: file.webkitRelativePath, file }));
    this.#chooseEntries(found, files[0].webkitRelativePath.split("/")[0]);
  }

  async #chooseFiles(files) {
    const [first] = files;
    if (files.length === 1 && (await isZip(first))) {
      return this.#choose({ name: first.name, blob: first, key: keyOf(first) }, `${first.name}, ${size(first.size)}`);
    }
    if (files.length && files.every((file) => IMAGE_NAME.test(file.name))) {
      form.labelled.value = "no";
      return this.#chooseEntries(files.map((file) => ({ path: file.name, file })), "images");
    }
    return this.#refuse(`${first ? `“${first.name}” is no zip archive. ` : ""}${EXPECTED}`);
  }

  #chooseEntries(found, name) {
    const entries = found.filter(({ path }) => IMAGE_NAME.test(path) && !path.split("/").some((part) => part.startsWith(".")));
    const reason = whyNot(entries);
    if (reason) return this.#refuse(`“${name}”: ${reason} ${EXPECTED}`);
    const bytes = entries.reduce((sum, { file }) => sum + file.size, 0);
    const key = `${name}:${entries.length}:${bytes}`;
    const others = found.length - entries.length;
    const left = others ? `; ${others} other ${others === 1 ? "file is" : "files are"} left out` : "";
    return this.#choose({ name: `${name}.zip`, entries, key }, `${name}: ${entries.length} images, ${size(bytes)}${left}`);
  }

  async #choose(chosen, words) {
    this.#chosen = chosen;
    this.#upload = null;
    this.#say("");
    this.#parts.chosen.textContent = words;
    if (!form.elements.name.value) form.elements.name.value = nameFrom(chosen.name);
    try {
      const found = await this.#uploads.find(chosen.key);
      if (!found || this.#chosen !== chosen) return;
      form.elements.name.value = found.name;
      form.labelled.value = found.labelled ? "yes" : "no";
      this.#show(found.offset, found.size_bytes, "of it is here already; Upload goes on from there");
    } catch (problem) {
      this.#say(problem.message);
    }
  }

  #refuse(words) {
    this.#chosen = null;
    form.file.value = "";
    this.#parts.chosen.textContent = "";
    this.#say(words);
  }

  async #run() {
    if (this.#work) return;
    if (!this.#chosen) return this.#say(`Nothing is chosen yet. ${EXPECTED}`);
    const work = (this.#work = new AbortController());
    let wrongName = false;
    this.#say("");
    this.#busy(true);
    try {
      await this.#send(work.signal);
    } catch (problem) {
      if (problem.name !== "AbortError") this.#say(words(problem));
      wrongName = problem.field === "name" || problem.status === 409;
    } finally {
      this.#work = null;
      this.#busy(false);
      if (wrongName) form.elements.name.focus();
    }
  }

  async #send(signal) {
    const chosen = this.#chosen;
    chosen.blob ??= await zipOf(chosen.entries, {
      signal,
      onProgress: (done, total) => this.#show(done, total, "files read", false),
    });
    const { blob } = chosen;
    this.#upload = await this.#begun(blob);
    const seen = [];
    await this.#uploads.send(this.#upload, blob, {
      signal,
      onProgress: (offset) => {
        this.#upload.offset = offset;
        seen.push([performance.now(), offset]);
        if (seen.length > SEEN_LIMIT) seen.shift();
        const left = secondsLeft(seen, blob.size);
        this.#show(offset, blob.size, left === null ? "" : `${duration(left)} left`);
      },
      onTrouble: (problem) => {
        this.#parts.state.textContent = `${problem.message} Trying again…`;
      },
    });
    this.#parts.state.textContent = "Checking the archive…";
    const dataset = await this.#uploads.finish(this.#upload, form.elements.name.value.trim(), signal);
    location.assign(dataset.url);
  }

  /** The upload to go on with: the one under way, one of an earlier visit, or a new one. */
  async #begun(blob) {
    const wanted = {
      name: form.elements.name.value.trim(),
      filename: this.#chosen.name,
      size_bytes: blob.size,
      labelled: form.labelled.value !== "no",
      key: this.#chosen.key,
    };
    const found = await this.#uploads.find(wanted.key);
    if (!found) return this.#uploads.begin(wanted);
    const same = found.size_bytes === blob.size && found.labelled === wanted.labelled;
    if (same && (await this.#uploads.continues(found, blob))) return found;
    await this.#uploads.remove(found);
    return this.#uploads.begin(wanted);
  }

  #stop() {
    this.#work?.abort();
    this.#parts.state.textContent = "Paused. What has arrived is kept for a day.";
  }

  async #cancel() {
    this.#work?.abort();
    const upload = this.#upload;
    this.#upload = null;
    this.#chosen = null;
    form.reset();
    this.#parts.chosen.textContent = "";
    this.#parts.progress.hidden = true;
    this.#say("");
    try {
      if (upload) await this.#uploads.remove(upload);
    } catch (problem) {
      this.#say(words(problem));
    }
    form.file.focus();
  }

  #busy(is) {
    this.#parts.submit.disabled = is;
    for (const field of [form.elements.name, form.labelled, form.file, this.#parts.folder]) field.disabled = is;
    this.#parts.pause.textContent = is ? "Pause" : "Continue";
  }

  #show(done, total, more, bytes = true) {
    const { progress, bar, state } = this.#parts;
    progress.hidden = false;
    bar.value = total ? done / total : 0;
    const amount = bytes ? `${size(done)} of ${size(total)}` : `${done} of ${total}`;
    state.textContent = `${Math.floor((100 * done) / Math.max(1, total))} %, ${amount}${more ? `, ${more}` : ""}`;
  }

  #say(problem) {
    this.#parts.problem.textContent = problem;
    this.#parts.problem.hidden = !problem;
  }
}

function words(problem) {
  return problem instanceof UploadProblem ? problem.message : `It could not be read: ${problem.message}`;
}

function size(bytes) {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

async function isZip(file) {
  const opening = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  return ZIP_STARTS.includes([...opening].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
}

/** Add every file below a dropped entry to `found`, with its path. */
async function collect(entry, above, found) {
  const path = `${above}${entry.name}`;
  if (entry.isFile) {
    found.push({ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return; // a reader gives a hundred at a time
    for (const inner of some) await collect(inner, `${path}/`, found);
  }
}

function followDrops(zone, take) {
  const lit = (is) => zone.classList.toggle("drop-over", is);
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      lit(true);
    });
  }
  zone.addEventListener("dragleave", (event) => !zone.contains(event.relatedTarget) && lit(false));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    lit(false);
    take([...event.dataTransfer.items].filter((item) => item.kind === "file"));
  });
  // A file dropped beside the zone would replace the page.
  for (const kind of ["dragover", "drop"]) {
    document.addEventListener(kind, (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
  }
}

if (form) new Panel();
