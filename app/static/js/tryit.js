// Try it: images come by choice, drop, paste or camera; the same form is sent, and the answer is
// put in its place. What is shown is in the address.

import { evaluatedImage, matchingModules, moduleText, steppedIndex, tryAddress } from "./lib/try-state.js";

const NEAR_PX = 300;
const WAIT_S = 20;
const TREE_LIMIT = 400;
const PICTURE_LIMIT_BYTES = 64 * 1024 * 1024;
const RETRY_MS = 1000;
const SOURCES = ["file", "index", "collection", "image"];

class Tryit {
  constructor(section) {
    this.section = section;
    this.form = section.querySelector("#try-form");
    this.modules = null;
    this.files = [];
    this.sending = null;
  }

  start() {
    this.section.dataset.started = "yes";
    for (const part of this.section.querySelectorAll("[data-scripted]")) part.hidden = false;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.form.addEventListener("change", (event) => this.changed(event.target));
    this.form.elements.module.addEventListener("input", () => this.showTree());
    this.section.addEventListener("click", (event) => this.clicked(event));
    this.section.addEventListener("input", ({ target }) => {
      if (target.matches("[data-opacity]")) this.setOpacity(target.value);
    });
    this.section.addEventListener("submit", (event) => this.cancel(event));
    this.takeDrops();
    document.addEventListener("paste", (event) => this.paste(event));
    new IntersectionObserver(([entry], observer) => {
      if (!entry.isIntersecting) return;
      observer.disconnect();
      this.loadModules();
    }, { rootMargin: `${NEAR_PX}px` }).observe(this.section);
    this.restore();
  }

  /** Show what the address names, unless the server has rendered it. */
  restore() {
    const wanted = new URLSearchParams(location.search);
    for (const name of ["image", "show", "class", "module", "maps"]) {
      if (wanted.get(name) && !wanted.has("job")) this.form.elements[name].value = wanted.get(name);
    }
    this.showFields();
    const known = this.form.elements.image.value;
    const evaluated = evaluatedImage(known);
    if (evaluated && this.form.elements.index) {
      this.form.elements.split.value = evaluated.split;
      this.form.elements.index.value = evaluated.index;
    }
    const answer = this.answer;
    if (answer.dataset.job) this.answered(answer);
    else if (known) this.send();
  }

  get answer() {
    return this.section.querySelector("#try-answer");
  }

  changed(field) {
    if (field.matches("[data-more]") || field.name === "file") {
      const files = [...field.files];
      if (files.length) this.take(files);
      if (field.matches("[data-more]")) field.value = "";
      return;
    }
    if (field.matches("[data-opacity]")) return;
    if (field.name === "index" || field.name === "split") {
      if (this.form.elements.index.value === "") return;
      this.keepOnly("index");
    }
    if (field.name === "collection") this.keepOnly("collection");
    if (field.name === "module") this.form.elements.maps.value = 1;
    if (field.name === "show") this.showFields();
    if (this.collection && field.name !== "collection") return; // its table is the same
    if (this.show === "features" && !this.collection && !this.form.elements.module.value) {
      this.form.elements.module.focus();
      return;
    }
    if (this.hasImage) this.send();
  }

  get show() {
    return this.form.elements.show.value;
  }

  get collection() {
    return this.form.elements.collection?.value;
  }

  get hasImage() {
    return Boolean(this.files.length || this.form.elements.index?.value || this.collection || this.form.elements.image.value);
  }

  /** Take files, from wherever they came, and show what is to be shown of them. */
  take(files) {
    const large = files.find((file) => files.length === 1 && !isZip(file) && file.size > PICTURE_LIMIT_BYTES);
    if (large) {
      this.complain(`${large.name} has ${Math.round(large.size / 1048576)} MiB; an image may have 64. Make it smaller.`);
      return;
    }
    this.files = files;
    this.keepOnly("file");
    this.send();
  }

  /** Forget the images that were chosen in another way. */
  keepOnly(source) {
    if (source !== "file") this.files = [];
    for (const other of SOURCES) {
      if (other !== source && this.form.elements[other]) this.form.elements[other].value = "";
    }
  }

  async send() {
    if (!this.hasImage) {
      this.say("Choose an image first.");
      this.form.elements.file.focus();
      return;
    }
    this.sending?.abort();
    const mine = (this.sending = new AbortController());
    const body = new FormData(this.form);
    body.delete("file");
    body.set("columns", this.section.clientWidth < 500 ? 4 : 8);
    for (const file of this.files) body.append("file", file, file.webkitRelativePath || file.name);
    this.busy(this.files.length > 1 ? `Sending ${this.files.length} files …` : "Looking …");
    try {
      const address = `${this.section.dataset.sendTo}?wait_s=${WAIT_S}`;
      await this.put(await fetch(address, { method: "POST", body, signal: mine.signal }), mine);
    } catch (error) {
      if (error.name !== "AbortError") this.complain(`The server does not answer (${error.message}). Press Show to try again.`);
    }
  }

  /** Put an answer in its place, and follow it while its job goes on. */
  async put(response, mine) {
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (mine.signal.aborted) return;
    const fresh = page.getElementById("try-answer");
    if (!fresh) {
      this.complain(page.querySelector("#content .lead, .notice p")?.textContent.trim() || `The server answered with status ${response.status}.`);
      return;
    }
    const answer = document.importNode(fresh, true);
    const opacity = this.section.querySelector("[data-opacity]")?.value;
    const hadFocus = this.answer.contains(document.activeElement);
    this.answer.replaceWith(answer);
    if (opacity !== undefined) this.setOpacity(opacity);
    if (hadFocus) answer.focus({ preventScroll: true });
    this.answered(answer, mine);
  }

  answered(answer, mine = new AbortController()) {
    this.sending = mine;
    for (const part of answer.querySelectorAll("[data-scripted]")) part.hidden = false;
    const { job, state, image, show, maps } = answer.dataset;
    if (job && (state === "queued" || state === "running")) {
      this.busy(state === "queued" ? "Waiting …" : "At work …");
      this.follow(answer.dataset.follow, mine);
      return;
    }
    this.busy("");
    this.say(this.summary(answer));
    if (image) {
      this.files = [];
      this.form.elements.image.value = image;
      this.form.elements.maps.value = maps || 1;
      const values = { image, show, class: answer.dataset.class && this.form.elements.class.value, module: answer.dataset.module, maps };
      const search = tryAddress(location.search, values);
      if (search !== location.search) history.replaceState(history.state, "", location.pathname + search + location.hash);
    }
  }

  summary(answer) {
    const predicted = answer.querySelector(".tryit-verdict");
    if (predicted) return predicted.textContent.trim().replace(/\s+/g, " ");
    return answer.dataset.state === "succeeded" ? "Ready." : "";
  }

  async follow(part, mine) {
    while (!mine.signal.aborted) {
      try {
        const waits = this.answer.dataset.kind === "predict" ? 1 : WAIT_S;
        const response = await fetch(`${part}?wait_s=${waits}`, { signal: mine.signal });
        if (response.ok) {
          await this.put(response, mine);
          return;
        }
      } catch (error) {
        if (error.name === "AbortError") return;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async cancel(event) {
    const form = event.target.closest("[data-cancel]");
    if (!form) return;
    event.preventDefault();
    const token = document.querySelector('meta[name="csrf-token"]').content;
    await fetch(form.dataset.cancel, { method: "POST", headers: { "X-CSRF-Token": token } });
  }

  clicked(event) {
    const step = event.target.closest("[data-step]");
    if (step) return this.step(step.dataset.step);
    const page = event.target.closest("a[data-maps]");
    if (page && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      this.form.elements.maps.value = page.dataset.maps;
      return this.send();
    }
    const module = event.target.closest("[data-module-name]");
    if (module) {
      this.form.elements.module.value = module.dataset.moduleName;
      this.changed(this.form.elements.module);
      this.showTree();
    }
  }

  step(by) {
    const { index, split } = this.form.elements;
    const samples = Number((split.selectedOptions?.[0] ?? split).dataset.samples);
    const now = index.value === "" ? null : Number(index.value);
    index.value = steppedIndex(now, by === "random" ? by : Number(by), samples);
    this.keepOnly("index");
    this.send();
  }

  takeDrops() {
    let depth = 0;
    const over = (by) => this.section.classList.toggle("tryit-over", (depth = Math.max(0, depth + by)) > 0);
    const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
    this.section.addEventListener("dragenter", (event) => holdsFiles(event) && over(1));
    this.section.addEventListener("dragleave", (event) => holdsFiles(event) && over(-1));
    this.section.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
    this.section.addEventListener("drop", async (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      over(-depth);
      const files = await droppedFiles(event.dataTransfer);
      if (files.length) this.take(files);
    });
  }

  paste(event) {
    const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    if (!files.length || !this.section.isConnected) return;
    event.preventDefault();
    this.take(files);
    this.section.scrollIntoView({ block: "nearest" });
  }

  /** Fetch the modules' names: the model is loaded for it, and at hand for the first click. */
  async loadModules() {
    const note = this.section.querySelector("[data-modules-note]");
    try {
      let response = await fetch(`${this.section.dataset.modules}?wait_s=30`);
      let job = await response.json();
      while (response.ok && (job.state === "queued" || job.state === "running")) {
        response = await fetch(`${job.url}?wait_s=30`);
        job = await response.json();
      }
      if (job.state !== "succeeded") throw new Error(job.error?.detail ?? job.detail ?? "no answer");
      this.modules = job.result.modules;
    } catch (error) {
      note.textContent = `The list of modules is not here: ${error.message}`;
      return;
    }
    const list = this.section.querySelector("#try-modules");
    list.replaceChildren(...this.modules.filter((one) => one.maps !== null).map((one) => {
      const option = document.createElement("option");
      option.value = one.name;
      option.label = `${one.name}: ${moduleText(one)}`;
      return option;
    }));
    note.textContent = `Type to search ${this.modules.length} modules, or choose one from the tree.`;
    this.section.querySelector("[data-tree]").hidden = false;
    this.showTree();
  }

  showTree() {
    if (!this.modules) return;
    const typed = this.form.elements.module.value;
    const exact = this.modules.some((one) => one.name === typed);
    const found = matchingModules(this.modules, exact ? "" : typed).slice(0, TREE_LIMIT);
    this.section.querySelector("[data-tree] ul").replaceChildren(...found.map((one) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.style.paddingInlineStart = `${0.3 + one.depth}rem`;
      button.textContent = `${one.last}: ${moduleText(one)}`;
      button.disabled = one.maps === null;
      button.dataset.moduleName = one.name;
      if (one.name === typed) button.setAttribute("aria-current", "true");
      item.append(button);
      return item;
    }));
  }

  showFields() {
    for (const part of this.form.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== this.show;
  }

  setOpacity(percent) {
    const heat = this.section.querySelector("[data-heat]");
    const range = this.section.querySelector("[data-opacity]");
    if (heat) heat.style.opacity = percent / 100;
    if (range) range.value = percent;
  }

  busy(words) {
    if (words) this.section.setAttribute("aria-busy", "true");
    else this.section.removeAttribute("aria-busy");
    this.say(words);
  }

  say(words) {
    this.section.querySelector("[data-status]").textContent = words;
  }

  complain(words) {
    this.busy("");
    const notice = document.createElement("div");
    notice.className = "notice notice-bad";
    notice.setAttribute("role", "alert");
    notice.textContent = words;
    this.answer.replaceChildren(notice);
  }
}

function isZip(file) {
  return file.name.toLowerCase().endsWith(".zip");
}

/** Return the files that were dropped, those in dropped folders too. */
async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  for (const entry of entries) await collect(entry, found);
  return found;
}

async function collect(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push(new File([file], entry.fullPath.replace(/^\//, ""), { type: file.type }));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const one of some) await collect(one, found);
  }
}

start();
document.addEventListener("tuneboard:swapped", ({ target }) => target.id === "run-tryit" && start());

function start() {
  const section = document.querySelector("[data-tryit]");
  if (section && !section.dataset.started) new Tryit(section).start();
}
