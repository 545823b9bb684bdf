// What a page does by itself: copying, keys, dialogs. Without it everything can still be read and done.
"use strict";

for (const element of document.querySelectorAll(".scripted")) element.hidden = false;

document.addEventListener("click", async (event) => {
  const copies = event.target.closest("[data-copies]");
  if (copies) {
    await navigator.clipboard.writeText(copies.dataset.copies);
    copies.classList.add("done");
    setTimeout(() => copies.classList.remove("done"), 1200);
  }
  const opens = event.target.closest("[data-opens]");
  if (opens) document.getElementById(opens.dataset.opens).showModal();
});

const ways = () => [...document.querySelectorAll("table.rows a.way")];

function move(step) {
  const all = ways();
  if (!all.length) return;
  const at = all.indexOf(document.activeElement);
  all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + step))].focus();
}

const KEYS = {
  "/": () => document.getElementById("find")?.focus(),
  "j": () => move(1),
  "k": () => move(-1),
  "r": () => document.querySelector(".read .newer:not([hidden]), .read > a")?.click(),
  "?": () => document.getElementById("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

// A page that watches something (console/live.py) hears of newer by a stream, or else asks now and then.
const ASKS_AGAIN = 30_000;
const LOST_AFTER = 10_000;
const watching = document.querySelector("[data-watched]");
let stream = null;
let lost = 0;
let asks = 0;

function say(word) {
  for (const each of watching.querySelectorAll("[data-says]")) each.hidden = each.dataset.says !== word;
  if (word === "newer" || word === "ended") stop();
}

function stop() {
  stream?.close();
  stream = null;
  clearTimeout(lost);
  clearInterval(asks);
}

async function ask() {
  try {
    const answer = await fetch(`/live/now?${watching.dataset.watched}`);
    if (answer.ok) say((await answer.json()).says);
    else say(answer.status === 401 ? "ended" : answer.status === 403 || answer.status === 404 ? "" : "old");
  } catch {
    say("lost");
  }
}

function listen() {
  if (stream || !watching.querySelector("[data-says=newer]").hidden) return;
  stream = new EventSource(`/live?${watching.dataset.watched}`);
  for (const word of ["same", "newer", "old", "ended"]) stream.addEventListener(word, () => say(word));
  stream.onopen = () => {
    clearTimeout(lost);
    if (!watching.querySelector("[data-says=lost]").hidden) say("same");
  };
  stream.onerror = () => {
    if (stream?.readyState === EventSource.CLOSED) {
      // Too many pages listen, or nobody is signed in.
      stop();
      ask();
      asks = setInterval(ask, ASKS_AGAIN);
    } else {
      clearTimeout(lost);
      lost = setTimeout(() => say("lost"), LOST_AFTER);
    }
  };
}

if (watching) {
  const look = () => (document.hidden ? stop() : listen());
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", look);
}

// Whoever reads a page again is given back the row they were on, where it is still there.
const ROW = "pawl row";
let row = null;
document.addEventListener("focusin", (event) => {
  if (event.target.matches("table.rows a.way")) row = event.target.getAttribute("href");
});
document.addEventListener("click", (event) => {
  const again = event.target.closest(".read a");
  if (again && row) sessionStorage.setItem(ROW, JSON.stringify({ path: again.pathname + again.search, row }));
});
const before = JSON.parse(sessionStorage.getItem(ROW) ?? "null");
sessionStorage.removeItem(ROW);
if (before?.path === location.pathname + location.search) {
  ways().find((way) => way.getAttribute("href") === before.row)?.focus();
}

// A page that takes its time is seen to.
const busy = (is) => document.documentElement.classList.toggle("busy", is);
window.addEventListener("pageshow", () => busy(false));
document.addEventListener("submit", (event) => { if (event.target.method !== "dialog") busy(true); });
document.addEventListener("click", (event) => {
  const way = event.target.closest("a[href]");
  const stays = !way || way.hash || way.hasAttribute("download") || way.target || way.origin !== location.origin;
  if (!stays && !event.defaultPrevented && !event.ctrlKey && !event.metaKey && !event.shiftKey) busy(true);
});

// A form that was sent shows that it is on its way, and is not sent twice; a download leaves the page as it is.
const BUSY_MS = 8000;
const rest = () => {
  for (const button of document.querySelectorAll("button[aria-busy]")) button.removeAttribute("aria-busy");
};

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button) return;
  if (button.hasAttribute("aria-busy")) return event.preventDefault();
  button.setAttribute("aria-busy", "true");
  setTimeout(rest, BUSY_MS);
});
addEventListener("pageshow", rest);
// A session that ended in the middle of a form: this tab keeps what was typed until the same person is back.
const KEPT = "pawl kept", KEPT_MINUTES = 30;
const ended = document.getElementById("kept");
if (ended) {
  const fields = Object.fromEntries(new FormData(ended));
  const { path, person } = ended.dataset;
  sessionStorage.setItem(KEPT, JSON.stringify({ path, person, fields, at: Date.now() }));
}

function giveBack() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  const person = document.body.dataset.person;
  if (!kept || !person) return;
  if (kept.person !== person || Date.now() - kept.at > KEPT_MINUTES * 60_000) return sessionStorage.removeItem(KEPT);
  if (kept.path !== location.pathname + location.search) return;
  sessionStorage.removeItem(KEPT);
  let given = false;
  for (const [name, text] of Object.entries(kept.fields)) {
    for (const field of document.querySelectorAll(`main form [name="${CSS.escape(name)}"]:not([type=hidden])`)) {
      if (field.tagName === "BUTTON") continue;
      field.value = text;
      given = true;
    }
  }
  document.getElementById("given-back").hidden = !given;
}
giveBack();
