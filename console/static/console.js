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
  "?": () => document.getElementById("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
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
