// Keeps the page of a job true: by events, or by asking where these do not come.
const POLL = 2000;
const SLOW = 10000;
const LOST = "The connection is lost. Trying again …";

const job = document.querySelector("#job");
const said = document.querySelector("#said");
const base = `/j/${job.dataset.id}`;
let current = job.dataset.state;
let told = 0;
let source = null;
let timer = 0;
let drawing = Promise.resolve();

const over = (state) => state === "done" || state === "gone";
const ended = (state) => over(state) || state === "dead" || state === "cancelled";

function say(text) {
  if (said.textContent !== text) said.textContent = text;
  // seen above, in bold: here it is for those who hear it
  said.classList.toggle("heard", text !== LOST);
}

// The same page as without this script, so that there is one way to show a job.
async function draw() {
  const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(String(answer.status));
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const part = fresh.querySelector("#job");
  if (!part) throw new Error("no job");
  const focused = job.contains(document.activeElement) ? document.activeElement.id : "";
  job.replaceChildren(...part.childNodes);
  current = part.dataset.state;
  job.dataset.state = current;
  document.title = fresh.title;
  if (focused) (document.getElementById(focused) ?? job).focus();
}

function apply(state) {
  if (said.textContent === LOST) say("");
  const words = document.querySelector("#words");
  if (state.state !== current) {
    told = 0;
    drawing = drawing.then(draw).then(() => say(state.words)).catch(() => watch(POLL));
  } else if (words && !ended(state.state)) {
    words.textContent = state.words;
    const bar = document.querySelector("#percent");
    if (bar) bar.value = state.percent;
    const quarter = Math.floor(state.percent / 25);
    if (quarter > told && state.percent < 100) say(state.words);
    told = Math.max(told, quarter);
  }
  if (over(state.state)) stop();
}

function stop() {
  source?.close();
  source = null;
  clearTimeout(timer);
}

async function look() {
  try {
    const answer = await fetch(`${base}/state`, { headers: { Accept: "application/json" } });
    if (answer.status === 404) { location.reload(); return; }
    if (!answer.ok) throw new Error(String(answer.status));
    const state = await answer.json();
    apply(state);
    // what failed may be tried again in another tab
    if (!over(state.state)) watch(ended(state.state) ? SLOW : POLL);
  } catch {
    say(LOST);
    watch(POLL);
  }
}

function watch(wait) {
  clearTimeout(timer);
  timer = setTimeout(look, wait);
}

function listen() {
  let opened = false;
  source = new EventSource(`${base}/events`);
  source.onopen = () => { opened = true; clearTimeout(timer); };
  source.addEventListener("state", (event) => apply(JSON.parse(event.data)));
  source.onerror = () => {
    if (source?.readyState !== EventSource.CLOSED) {
      if (opened) say(LOST); else watch(POLL);
      return;
    }
    source = null;
    watch(0);
    if (opened) setTimeout(() => { if (!source && !over(current)) listen(); }, SLOW);
  };
}

if (!over(current)) {
  if (ended(current)) watch(SLOW); else listen();
}
document.addEventListener("visibilitychange", () => { if (!document.hidden && !source && !over(current)) watch(0); });
