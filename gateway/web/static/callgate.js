"use strict";
// What pages cannot do without a script: the viewer's zone and language, theme, live rows, dialogs.

const regions = new Intl.DisplayNames(undefined, { type: "region" });

function enhance(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = shownTime(new Date(time.dateTime), time.hasAttribute("data-minute"));
    time.title = time.dateTime;
  }
  for (const flag of root.querySelectorAll("[data-region]")) {
    try { flag.textContent = regions.of(flag.dataset.region); } catch { /* the two letters stay */ }
  }
  for (const title of root.querySelectorAll("title[data-at]")) {
    const minute = shownTime(new Date(title.dataset.at), true);
    title.textContent = title.textContent.replace(/^[0-9:]+ UTC/, minute);
  }
}

function shownTime(at, minute) {
  const today = at.toDateString() === new Date().toDateString();
  if (minute || today) {
    return at.toLocaleTimeString(undefined, { timeStyle: minute ? "short" : "medium" });
  }
  return at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// Live rows: newest first, at most as many as data-most says; paused ones wait in the server.
function keepShort(list) {
  const most = Number(list.dataset.most || 50);
  while (list.children.length > most) list.lastElementChild.remove();
}

document.addEventListener("DOMContentLoaded", () => enhance(document));
document.addEventListener("htmx:load", (event) => {
  enhance(event.target.parentElement || event.target);
  const list = event.target.closest("[data-most]");
  if (list) keepShort(list);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.hasAttribute("data-theme-switch")) {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("callgate-theme", theme);
  } else if (button.dataset.dialog) {
    document.getElementById(button.dataset.dialog).showModal();
  } else if (button.hasAttribute("data-close")) {
    button.closest("dialog").close();
  } else if (button.hasAttribute("data-away")) {
    putAway(button.closest("[role=status]"));
  } else if (button.dataset.pause) {
    togglePause(button);
  }
});

// Live rows. Pausing holds them back in the page; going on shows them all. A connection that has
// to be made anew goes on after the last row that came.
const held = [];
function togglePause(button) {
  const paused = button.getAttribute("aria-pressed") !== "true";
  const list = document.getElementById(button.dataset.pause);
  button.setAttribute("aria-pressed", String(paused));
  list.toggleAttribute("data-paused", paused);
  if (!paused) {
    for (const html of held.splice(0)) insertRow(list, html);
  }
  sayPause(button);
}
function sayPause(button) {
  const paused = button.getAttribute("aria-pressed") === "true";
  button.textContent = paused ? "Resume" + (held.length ? ` (${held.length})` : "") : "Pause";
}
function insertRow(list, html) {
  list.insertAdjacentHTML("afterbegin", html);
  htmx.process(list.firstElementChild);
  enhance(list);
  keepShort(list);
}
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const list = event.target.closest("[data-most]");
  if (!list) return;
  list.setAttribute("sse-connect", "/parts/live?after=" + event.detail.lastEventId);
  if (document.getElementById("attempt-" + event.detail.lastEventId)) event.preventDefault();
  if (!list.hasAttribute("data-paused")) return;
  event.preventDefault();
  held.push(event.detail.data);
  if (held.length > Number(list.dataset.most)) held.shift();
  document.querySelectorAll("[data-pause]").forEach(sayPause);
});
function sayState(lost) {
  const state = document.getElementById("live-state");
  const text = lost ? state?.dataset.lost : "";
  if (state && state.textContent !== text) state.textContent = text;
}
document.addEventListener("htmx:sseError", () => sayState(true));
document.addEventListener("htmx:sseOpen", () => sayState(false));

// A change was made: what was added is out of the field, and the dialog of an edit is closed.
document.addEventListener("entries-changed", (event) => {
  event.target.closest?.("dialog")?.close();
  const form = document.getElementById("add-form");
  const mine = event.target === form || event.target.closest?.("#said [role=alertdialog]");
  const before = document.getElementById(mine ? "told" : "said"); // what is told there is over
  if (before && !before.contains(event.target)) before.replaceChildren();
  if (!form || !mine) return;
  form.reset();
  document.getElementById("number").value = "";
  document.getElementById("preview").replaceChildren();
  document.getElementById("number").focus();
});

// Whoever is asked back answers at once, Escape is no. (htmx settles without delay, see base.html:
// what it puts in must answer to the very next key.)
document.addEventListener("htmx:afterSettle", (event) => {
  event.detail.target?.querySelector?.("[role=alertdialog]")?.focus();
});
document.addEventListener("input", (event) => {
  if (!event.target.closest("#add-form")) return;
  document.querySelector("#said [role=alertdialog]")?.remove(); // it was asked about another entry
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.target.closest("dialog")) return;
  putAway(document.querySelector("[role=alertdialog]")?.closest("[role=status]"));
});
function putAway(place) {
  if (!place) return;
  const within = place.contains(document.activeElement);
  place.replaceChildren();
  if (within) document.querySelector("[data-slash]")?.focus();
}

// One key to search or add: "/" goes to the first field that is marked for it.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const field = document.querySelector("[data-slash]");
  if (field) {
    event.preventDefault();
    field.focus();
  }
});
