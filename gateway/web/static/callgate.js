"use strict";
// What pages cannot do without a script: the viewer's zone and language, theme, live rows, dialogs.

const regions = new Intl.DisplayNames(undefined, { type: "region" });

function enhance(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = shownTime(new Date(time.dateTime));
    time.title = time.dateTime;
  }
  for (const flag of root.querySelectorAll("[data-region]")) {
    try { flag.textContent = regions.of(flag.dataset.region); } catch { /* the two letters stay */ }
  }
}

function shownTime(at) {
  const today = at.toDateString() === new Date().toDateString();
  return today
    ? at.toLocaleTimeString(undefined, { timeStyle: "medium" })
    : at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
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
  } else if (button.dataset.dismiss) {
    document.getElementById(button.dataset.dismiss).replaceChildren();
  } else if (button.dataset.pause) {
    togglePause(button);
  }
});

// Pausing holds the rows back in the page; going on shows them all.
const held = [];
function togglePause(button) {
  const paused = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(paused));
  button.textContent = paused ? "Resume" : "Pause";
  const list = document.getElementById(button.dataset.pause);
  list.toggleAttribute("data-paused", paused);
  if (!paused) {
    for (const html of held.splice(0)) insertRow(list, html);
  }
}
function insertRow(list, html) {
  list.insertAdjacentHTML("afterbegin", html);
  htmx.process(list.firstElementChild);
  enhance(list);
  keepShort(list);
}
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const list = event.target.closest("[data-paused]");
  if (!list) return;
  event.preventDefault();
  held.push(event.detail.data);
  if (held.length > Number(list.dataset.most || 50)) held.shift();
});

// What was added is out of the field, and a dialog whose form was taken is closed.
document.addEventListener("htmx:afterRequest", (event) => {
  if (!event.detail.successful) return;
  event.detail.elt.closest?.("dialog")?.close();
  if (document.querySelector('#said [data-done="added"]') && event.detail.elt.id !== "number") {
    const form = document.getElementById("add-form");
    if (form && (event.detail.elt === form || event.detail.elt.closest("#said"))) {
      form.reset();
      document.getElementById("number").value = "";
      document.getElementById("preview").replaceChildren();
      document.getElementById("number").focus();
    }
  }
});

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
