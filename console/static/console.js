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
