/* A page nobody touched for a while hides what is written and our own picture until the PIN is there; the call goes on. */
"use strict";
(() => {
  const { root, words } = Call;
  const form = root.querySelector("[data-lock]");
  const idleMs = Number(root.dataset.idleLockS) * 1000;
  if (!form || !idleMs || !root.dataset.unlockUrl) return;
  const said = form.querySelector("output");
  let timer;

  const isLocked = () => "locked" in root.dataset;

  function touch() {
    if (isLocked()) return;
    clearTimeout(timer);
    timer = setTimeout(lock, idleMs);
  }

  function lock() {
    root.dataset.locked = "";
    for (const each of root.querySelectorAll("[data-private]")) each.inert = true;
    form.hidden = false;
    Call.tell("locked");
  }

  function open() {
    delete root.dataset.locked;
    for (const each of root.querySelectorAll("[data-private]")) each.inert = false;
    form.hidden = true;
    form.reset();
    said.textContent = "";
    touch();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    said.textContent = words.checkingPin;
    const answer = await fetch(root.dataset.unlockUrl, { method: "POST", body, cache: "no-store" }).catch(() => null);
    if (answer && answer.status === 204) return open();
    form.elements.pin.value = "";
    said.textContent = !answer ? words.noBox : answer.status === 429 ? words.pinLater : words.pinWrong;
    form.elements.pin.focus();
  });
  for (const name of ["pointerdown", "keydown", "wheel"]) document.addEventListener(name, touch, { passive: true });
  touch();
})();
