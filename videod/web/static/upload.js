// Uploads by tus: in pieces, each sent again until it is there; goes on after a reload when the same file is chosen.
const FIRST = 64 * 1024; // small, so that the server soon says what is no video
const PIECE = 8 * 1024 * 1024;
const LONGEST_WAIT = 30;
const FOLLOW = 4000;
const STORE = "videod:";
const BYTES = "application/offset+octet-stream";

const form = document.querySelector("#upload");
const list = document.querySelector("#sending");
const videos = document.querySelector("#videos");
const waiting = [];
let timer = 0;
let busy = false;

class Refused extends Error {
  constructor(words, status) {
    super(words);
    this.status = status;
  }
}

const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
// what a row shows already is for those who hear it
function said(text, seen = false) {
  const place = document.querySelector("#said");
  place.textContent = text;
  place.classList.toggle("heard", !seen);
}
const store = () => `${STORE}${form.dataset.owner}|`; // another user of this browser does not see it
const key = (file) => `${store()}${file.name}|${file.size}|${file.lastModified}`;

function size(count) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let n = 0;
  while (count >= 1024 && n < units.length - 1) { count /= 1024; n += 1; }
  return `${n ? count.toFixed(1) : count} ${units[n]}`;
}

function remembered(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

function remember(name, place) {
  try {
    if (place) localStorage.setItem(name, place); else localStorage.removeItem(name);
  } catch { /* without it an upload begins anew after a reload */ }
}

// One request; resolves with the XMLHttpRequest, status 0 when there was no answer.
function ask(method, url, headers, body, item) {
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.setRequestHeader("Tus-Resumable", "1.0.0");
    request.setRequestHeader("X-CSRF-Token", form.dataset.token);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    if (item) {
      item.request = request;
      request.upload.onprogress = (event) => item.show(item.offset + event.loaded);
    }
    request.onloadend = () => done(request);
    request.send(body ?? null);
  });
}

// Why there was no success: Refused when it is for good, else words; it may pass.
function judge(request) {
  if (!request.status) return "The connection is lost.";
  if (request.status === 401) throw new Refused("You are logged out. Log in, and choose the file again to go on.", 401);
  let detail = "It was refused.";
  try { detail = JSON.parse(request.responseText).detail; } catch { /* no words */ }
  if (request.status >= 500 || [408, 409, 423, 460].includes(request.status)) return detail;
  throw new Refused(detail, request.status);
}

// Take an upload away; the server may still be writing what came of it.
async function giveUp(place) {
  for (let wait = 0.2; wait < LONGEST_WAIT; wait *= 2) {
    const { status } = await ask("DELETE", place, {});
    if (status && status !== 423 && status < 500) return;
    await sleep(wait);
  }
}

class Item {
  constructor(file) {
    this.file = file;
    this.offset = 0;
    this.place = remembered(key(file));
    this.ended = false;
    this.told = 0;
    this.why = "";
    this.row = document.createElement("li");
    const name = document.createElement("span");
    name.textContent = file.name;
    this.bar = document.createElement("progress");
    this.bar.max = file.size || 1;
    this.bar.value = 0;
    this.bar.setAttribute("aria-label", `Upload of ${file.name}`);
    this.words = document.createElement("span");
    this.words.textContent = "waits";
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.className = "plain";
    this.button.textContent = "Stop";
    this.button.setAttribute("aria-label", `Stop the upload of ${file.name}`);
    this.button.onclick = () => this.stop();
    this.row.append(name, this.words, this.button, this.bar);
    list.append(this.row);
  }

  show(count) {
    const part = Math.min(count, this.file.size);
    this.bar.value = part;
    this.words.textContent = `${size(part)} of ${size(this.file.size)}`;
    const quarter = Math.floor((4 * part) / this.file.size);
    if (quarter > this.told && quarter < 4) said(`${this.file.name}: ${25 * quarter} % uploaded`);
    this.told = quarter;
  }

  end(text, bad) {
    this.ended = true;
    this.words.textContent = text;
    this.words.className = bad ? "bad" : "done";
    this.button.remove();
    this.bar.remove();
    said(`${this.file.name}: ${text}`);
  }

  stop() {
    if (this.ended) return;
    this.end("stopped", true);
    remember(key(this.file), null);
    if (!this.place) return; // what is created at this moment is given up as soon as its place is known
    this.request?.abort();
    giveUp(this.place);
  }

  link(page) {
    this.page = page;
    const link = document.createElement("a");
    link.href = page;
    link.textContent = this.file.name;
    this.row.firstChild.replaceChildren(link);
    remember(key(this.file), null);
    this.end("uploaded");
  }

  async create() {
    const bytes = new TextEncoder().encode(this.file.name.slice(-500));
    const name = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    const headers = { "Upload-Length": String(this.file.size), "Upload-Metadata": `filename ${name}` };
    const request = await ask("POST", "/files", headers);
    if (request.status !== 201) { this.why = judge(request); return false; }
    this.place = request.getResponseHeader("Location");
    this.offset = 0;
    if (this.ended) { await giveUp(this.place); return true; }
    remember(key(this.file), this.place);
    return true;
  }

  // Where the upload stands; false when nobody answers.
  async find() {
    if (!this.place) return this.create();
    const request = await ask("HEAD", this.place, {});
    if (request.status === 404 || Number(request.getResponseHeader("Upload-Length")) > this.file.size) {
      this.place = null;
      return this.create();
    }
    if (request.status !== 200) { this.why = judge(request); return false; }
    this.offset = Number(request.getResponseHeader("Upload-Offset"));
    const page = request.getResponseHeader("Videod-Page");
    if (page) this.link(page);
    return true;
  }

  async send() {
    const piece = this.file.slice(this.offset, this.offset + (this.offset ? PIECE : FIRST));
    const headers = { "Content-Type": BYTES, "Upload-Offset": String(this.offset) };
    const request = await ask("PATCH", this.place, headers, piece, this);
    if (this.ended) return true;
    if (request.status !== 204) {
      if (request.status === 404) { this.place = null; this.why = "The upload is gone."; } else this.why = judge(request);
      return false;
    }
    this.offset = Number(request.getResponseHeader("Upload-Offset"));
    this.show(this.offset);
    const page = request.getResponseHeader("Videod-Page");
    if (page) this.link(page);
    return true;
  }

  async run() {
    let wait = 1;
    let known = false;
    said(`${this.file.name} is being uploaded`);
    while (!this.ended) {
      try {
        known = known ? await this.send() : await this.find();
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        if (this.ended) return;
        // who is over a quota goes on tomorrow
        if (![401, 403, 429].includes(error.status)) remember(key(this.file), null);
        this.end(error.message, true);
        return;
      }
      if (known) { wait = 1; continue; }
      if (this.ended) return;
      this.words.textContent = `${this.why} Trying again …`;
      await sleep(wait);
      wait = Math.min(2 * wait, LONGEST_WAIT);
    }
  }
}

async function work() {
  if (busy) return;
  busy = true;
  const all = [];
  while (waiting.length) {
    const item = waiting.shift();
    all.push(item);
    if (!item.ended) await item.run();
  }
  busy = false;
  const [only] = all;
  if (all.length === 1 && only.page) location.assign(only.page);
  else await follow();
}

// The list of videos, while something in it is to change.
async function follow() {
  const live = ".queued, .requeued, .running, .retry";
  try {
    const answer = await fetch("/", { headers: { Accept: "text/html" } });
    const fresh = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#videos");
    if (fresh && !videos.contains(document.activeElement)) videos.replaceChildren(...fresh.childNodes);
  } catch { /* the next look may do */ }
  clearTimeout(timer);
  if (videos.querySelector(live)) timer = setTimeout(follow, FOLLOW);
}

function add(files) {
  for (const file of files) waiting.push(new Item(file));
  work();
}

function unfinished() {
  const names = [];
  try {
    for (let n = 0; n < localStorage.length; n += 1) {
      const name = localStorage.key(n);
      if (name.startsWith(store())) names.push(name.slice(store().length).split("|").slice(0, -2).join("|"));
    }
  } catch { return; }
  if (names.length) said(`Not finished: ${names.join(", ")}. Choose the same file again to go on.`, true);
}

if (form) {
  const drop = document.querySelector("#drop");
  document.querySelector("#hint").hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    add(form.elements.files.files);
    form.elements.files.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); add(event.dataTransfer.files); });
  // a file that misses the field must not take the place of the page
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  window.addEventListener("beforeunload", (event) => { if (busy) event.preventDefault(); });
  unfinished();
}
if (videos.querySelector(".queued, .requeued, .running, .retry")) timer = setTimeout(follow, FOLLOW);
