/* A form that nobody touches for a while is covered until the PIN is there; what was typed stays where it is. */
"use strict";
(() => {
  const cover = document.querySelector("form[data-idle-s]");
  const idleMs = Number(cover.dataset.idleS) * 1000;
  const said = cover.querySelector("output");
  const others = [...cover.parentElement.children].filter((each) => each !== cover);
  let timer;

  function touch() {
    if (!cover.hidden) return;
    clearTimeout(timer);
    timer = setTimeout(() => show(true), idleMs);
  }

  function show(isLocked) {
    for (const each of others) each.hidden = isLocked;
    cover.hidden = !isLocked;
    cover.reset();
    if (isLocked) cover.elements.pin.focus();
    else touch();
  }

  cover.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(cover));
    const sent = { method: "POST", body, cache: "no-store", redirect: "manual" };
    const answer = await fetch(cover.action, sent).catch(() => null);
    if (answer && (answer.status === 401 || answer.type === "opaqueredirect")) return location.assign("/entrar");
    said.hidden = Boolean(answer && answer.status === 204);
    if (said.hidden) show(false);
    else cover.reset();
  });
  for (const name of ["pointerdown", "keydown", "wheel"]) document.addEventListener(name, touch, { passive: true });
  touch();
})();
