"use strict";
// Times in the viewer's own zone, also in what is swapped in later.
function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    time.title = time.dateTime;
  }
}
document.addEventListener("DOMContentLoaded", () => showTimes(document));
document.addEventListener("htmx:load", (event) => showTimes(event.target));
