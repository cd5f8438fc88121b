"use strict";
// The theme that was chosen, before anything is shown: the system's, until the button says otherwise.

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (systemIsDark.matches ? "dark" : "light")) === "dark";

// Some browsers forbid pages of the file system to remember anything: then a choice lasts as long as the page is open.
function remembered(action) {
  try {
    return action(localStorage);
  } catch {
    return null;
  }
}

// To choose what the system prefers is to follow it again.
function choose(theme) {
  const isOwn = theme !== (systemIsDark.matches ? "dark" : "light");
  if (isOwn) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  remembered((storage) => (isOwn ? storage.setItem("fastkl-theme", theme) : storage.removeItem("fastkl-theme")));
}

const chosen = remembered((storage) => storage.getItem("fastkl-theme"));
if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
