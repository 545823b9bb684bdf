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
