// Makes the page quicker; everything works without it.
"use strict";

// "/" goes to the search field.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = document.querySelector("[data-key='/']");
  if (field) {
    event.preventDefault();
    field.focus();
  }
});

// A choice that shows something else does so at once.
for (const choice of document.querySelectorAll("[data-submit]")) {
  choice.addEventListener("change", () => choice.form.requestSubmit());
}

// What writes is sent once.
for (const form of document.querySelectorAll("form[method='post']")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button[type='submit']")) {
      button.setAttribute("aria-disabled", "true");
    }
  });
}
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// A picture that is gone says so.
for (const picture of document.querySelectorAll("img:not(.logo)")) {
  const gone = () => {
    const box = document.createElement("span");
    box.className = picture.classList.contains("thumbnail") ? "hidden" : "nopicture";
    box.textContent = picture.alt ? `“${picture.alt}” is no longer at its address` : "Picture no longer at its address";
    picture.replaceWith(box);
  };
  if (picture.complete && picture.naturalWidth === 0) gone();
  else picture.addEventListener("error", gone, { once: true });
}
