// Sets start and end of a clip from the player, or from a picture where the browser cannot play the source.
const page = document.querySelector("#job");
let at = 0;
let stop = 0;

const player = () => page.querySelector("#player");
const field = (name) => page.querySelector(`#${name}`);

function seconds(text) {
  const parts = text.trim().split(":").map(Number);
  return parts.some(Number.isNaN) ? NaN : parts.reduce((sum, part) => sum * 60 + part, 0);
}

function here() {
  const video = player();
  return video && !video.error && video.readyState > 0 ? video.currentTime : at;
}

function show() {
  const video = player();
  if (!video) return;
  for (const button of page.querySelectorAll("[data-set]")) button.hidden = false;
  const playable = () => { page.querySelector("#try").hidden = false; };
  const broken = () => {
    video.hidden = true;
    page.querySelector("#unplayable").hidden = false;
    page.querySelector("#try").hidden = true;
  };
  video.addEventListener("loadedmetadata", playable);
  video.addEventListener("error", broken);
  video.addEventListener("timeupdate", () => {
    if (stop && video.currentTime >= stop) { video.pause(); stop = 0; }
  });
  if (video.error) broken(); else if (video.readyState > 0) playable();
}

page.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.at) {
    at = Number(button.dataset.at);
    const video = player();
    if (!video.error) video.currentTime = at;
    for (const one of page.querySelectorAll(".picture")) one.setAttribute("aria-pressed", String(one === button));
  } else if (button.dataset.set) {
    field(button.dataset.set).value = String(Math.round(here() * 1000) / 1000);
  } else if (button.id === "try") {
    const video = player();
    const begin = seconds(field("start").value || "0");
    stop = seconds(field("end").value || "0");
    if (!Number.isNaN(begin)) { video.currentTime = begin; video.play(); }
  }
});

show();
// what was waited for came: the page was drawn anew
new MutationObserver(show).observe(page, { childList: true });
