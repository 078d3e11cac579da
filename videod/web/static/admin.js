// Keeps the part of a page that changes true: fetched anew while the page is seen and nobody is in the middle of it.
const EVERY = 5000;
const live = document.querySelector("#live");

async function draw() {
  if (document.hidden || live.contains(document.activeElement) || String(getSelection())) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const part = fresh.querySelector("#live");
  if (!part) return;
  document.title = fresh.title;
  if (part.innerHTML !== live.innerHTML) live.replaceChildren(...part.childNodes);
}

if (live) setInterval(() => draw().catch(() => undefined), EVERY);
