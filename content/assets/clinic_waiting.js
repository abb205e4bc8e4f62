/* A doctor's waiting page asks whether somebody calls, in a few bytes; when somebody does, the page comes anew. */
"use strict";
(() => {
  const root = document.querySelector("main[data-state]");
  const lost = root.querySelector("[data-lost]");
  const wasCalled = "called" in root.dataset;
  const asksMs = Number(root.dataset.asksS) * 1000;

  async function ask() {
    const answer = await fetch(root.dataset.state, { cache: "no-store" }).catch(() => null);
    const isHeard = answer !== null && answer.ok;
    lost.hidden = isHeard;
    if (answer !== null && (answer.status === 403 || answer.status === 404)) return location.reload();
    if (isHeard && (answer.status === 200) !== wasCalled) return location.reload();
    setTimeout(ask, asksMs);
  }

  setTimeout(ask, asksMs);
})();
