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

// What writes is sent once, and its button says what goes on where that may take a while. What only
// answers with a file may be sent again.
for (const form of document.querySelectorAll("form[method='post']:not([data-again])")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button[type='submit']")) {
      button.setAttribute("aria-disabled", "true");
    }
    const pressed = event.submitter;
    if (pressed?.dataset.busy && !pressed.dataset.idle) {
      pressed.dataset.idle = pressed.textContent;
      pressed.textContent = pressed.dataset.busy;
    }
  });
}
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const button of document.querySelectorAll("[data-idle]")) button.textContent = button.dataset.idle;
  location.reload();
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

// The button says how many changes it makes, also when some are unticked, on this page or another.
const plan = document.querySelector("form[data-plan]");
if (plan) {
  const key = `plan ${plan.dataset.plan}`;
  const left = new Set(JSON.parse(sessionStorage.getItem(key) ?? "[]"));
  const button = document.querySelector("[data-count]");
  const boxes = plan.querySelectorAll("input[name='row']");
  const show = () => {
    const count = Number(plan.dataset.writes) - left.size;
    if (button) {
      button.textContent = `Apply ${count.toLocaleString("en")} ${count === 1 ? "change" : "changes"}`;
      button.disabled = count === 0;
    }
    for (const box of boxes) box.closest("li").classList.toggle("unticked", !box.checked);
    plan.elements.deselect.value = [...left].join(",");
    sessionStorage.setItem(key, JSON.stringify([...left]));
  };
  for (const box of boxes) {
    box.checked = !left.has(box.value);
    box.addEventListener("change", () => {
      if (box.checked) left.delete(box.value);
      else left.add(box.value);
      show();
    });
  }
  show();
}

// The fields to put back are counted on their button.
for (const button of document.querySelectorAll("[data-ticked]")) {
  const boxes = [...button.form.querySelectorAll("input[name='field']")];
  const show = () => {
    const count = boxes.filter((box) => box.checked).length;
    button.disabled = count === 0;
    button.textContent = count === 0 ? button.dataset.ticked : `Put back ${count} ${count === 1 ? "field" : "fields"}`;
  };
  for (const box of boxes) box.addEventListener("change", show);
  show();
}

// Copies the page's address.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const address = new URL(button.dataset.copy, location.href).href;
    const copied = navigator.clipboard.writeText(address).then(() => true, () => false);
    button.textContent = (await copied) ? "Copied" : "Not copied: the browser does not allow it";
  });
}

// A job tells how far it is.
const job = document.querySelector("[data-events]");
if (job) {
  const events = new EventSource(job.dataset.events);
  const words = { updated: "changed", created: "created anew", deleted: "deleted", skipped: "skipped", conflict: "moved meanwhile", failed: "failed", pending: "to do" };
  const bar = job.querySelector("progress");
  const left = job.querySelector("[data-live='left']");
  const lasting = (seconds) => {
    const [of, unit] = seconds < 120 ? [1, "second"] : seconds < 7_200 ? [60, "minute"] : seconds < 172_800 ? [3_600, "hour"] : [86_400, "day"];
    const count = Math.floor(seconds / of);
    return `${count} ${unit}${count === 1 ? "" : "s"}`;
  };
  const tenths = () => Math.floor(bar.position * 10);
  let told = tenths();
  events.addEventListener("progress", (event) => {
    const { counts, state, approval, eta_seconds: eta } = JSON.parse(event.data);
    // What can be done about it is another thing now.
    if (state !== job.dataset.state || (approval?.by ?? "") !== job.dataset.approved) {
      events.close();
      location.reload();
      return;
    }
    const all = Object.values(counts).reduce((a, b) => a + b, 0);
    bar.max = Math.max(all, 1);
    bar.value = all - counts.pending;
    const said = Object.entries(words).filter(([name]) => counts[name] > 0).map(([name, word]) => `${counts[name].toLocaleString("en")} ${word}`);
    job.querySelector("[data-live='summary']").textContent = said.join(" · ");
    left.textContent = state === "running" && eta >= 1 ? ` · about ${lasting(eta)} left` : "";
    // Read out now and then only.
    if (tenths() !== told) {
      told = tenths();
      job.querySelector("[data-live='said']").textContent = `${told * 10} % done`;
    }
  });
  events.addEventListener("end", () => {
    events.close();
    location.reload();
  });
  // Refused for good, as when the session is over or nobody answered for a while: the page says which,
  // once there is one.
  const again = () => setTimeout(async () => {
    const answer = await fetch(location.href, { redirect: "manual" }).catch(() => null);
    if (!answer || answer.status >= 429) again();
    else location.reload();
  }, 5_000);
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) again();
  });
}

// Dragging over the picture chooses a stretch of time.
for (const picture of document.querySelectorAll("[data-brush]")) {
  const form = document.querySelector("#span");
  const brush = picture.querySelector(".brush");
  const width = picture.viewBox.baseVal.width;
  let start = null;
  const at = (event) => {
    const box = picture.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  picture.addEventListener("pointerdown", (event) => {
    start = at(event);
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const [a, b] = [start, at(event)].sort((x, y) => x - y);
    brush.setAttribute("x", a * width);
    brush.setAttribute("width", (b - a) * width);
  });
  picture.addEventListener("pointercancel", () => {
    start = null;
    brush.setAttribute("width", 0);
  });
  picture.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [a, b] = [start, at(event)].sort((x, y) => x - y);
    start = null;
    if (b - a < 0.01) return;
    const [from, to] = [Number(picture.dataset.from), Number(picture.dataset.to)];
    const moment = (share) => new Date(from + (to - from) * share).toISOString();
    // Kind and app stay as they are chosen.
    const query = new URLSearchParams(form ? new FormData(form) : {});
    query.set("from", moment(a));
    query.set("to", moment(b));
    const path = form ? location.pathname : document.querySelector("a[href$='/changes']").getAttribute("href");
    location.assign(`${path}?${query}`);
  });
}
