/* Notes that several write: whole texts, each upon the entry it was written on; what two wrote at once is shown to choose.

   What is typed here is never taken away: what another wrote meanwhile waits beside it until somebody decides. */
"use strict";
(() => {
  const { root, words } = Call;
  const form = root.querySelector("[data-entry=note]");
  if (!form || !Call.write) return;
  const PAUSE_MS = 1500;
  const text = form.elements.text;
  const output = form.querySelector("output");
  const theirs = form.querySelector("[data-theirs]");
  const lineage = new Set(); // every note that what stands here has seen
  let base = null; // the note that this text was written upon
  let saved = "";
  let other = null; // what another wrote meanwhile
  let pause;

  const isDirty = () => text.value !== saved;

  function save() {
    clearTimeout(pause);
    if (!isDirty() || other) return;
    const after = base;
    saved = text.value;
    const id = Call.write("note", { text: saved, ...(after && { after }) }, (now, why) => {
      output.textContent = { sending: words.sending, kept: words.kept, refused: `${words.refused} ${why}` }[now];
      if (now === "refused" && base === id) [base, saved] = [after, null]; // stands here, and counts as not saved
    });
    base = id;
    lineage.add(id);
  }

  function came(entry) {
    if (entry.kind !== "note" || lineage.has(entry.id)) return;
    const { after = null } = entry.fields;
    const joins = Boolean(other) && after === other.id;
    if (entry.fields.text !== text.value && (isDirty() || !(joins || after === base))) return show(entry);
    const left = joins ? null : other;
    take(entry);
    if (left) show(left);
  }

  function show(entry) {
    other = entry;
    theirs.querySelector("p").textContent = entry.fields.text;
    theirs.querySelector("[data-by]").replaceChildren(Call.head(entry));
    theirs.hidden = false;
    output.textContent = words.both;
  }

  function take(entry) {
    base = entry.id;
    lineage.add(entry.id);
    text.value = saved = entry.fields.text;
    other = null;
    theirs.hidden = true;
    output.textContent = "";
  }

  // What was chosen is written again, so that it is the last.
  function choose(how) {
    const mine = text.value;
    const chosen = other;
    take(chosen);
    if (how !== "theirs") text.value = how === "mine" ? mine : `${mine}\n\n${chosen.fields.text}`;
    saved = null;
    save();
  }

  text.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(save, PAUSE_MS);
    if (!other) output.textContent = words.typing;
  });
  text.addEventListener("blur", save);
  form.addEventListener("click", (event) => event.target.dataset.choose && choose(event.target.dataset.choose));
  Call.on("written", came);
})();
