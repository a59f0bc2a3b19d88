"use strict";
// Before anything is painted: the theme that was chosen here, else that of the system.
{
  const chosen = localStorage.getItem("callgate-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}
