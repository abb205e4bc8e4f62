/* The recording: everybody sees that there is one; the nurse alone writes down the consent, begins it and ends it. */
"use strict";
(() => {
  const { words, find } = Call;
  const button = find("[data-action=record]");
  const agreed = find("[data-choice=agreed]");

  function show() {
    const on = Boolean(Call.wanted && Call.place.recording);
    find("[data-show=recording]").hidden = !on;
    if (!button) return;
    button.disabled = !Call.wanted || !(on || agreed.checked);
    button.setAttribute("aria-pressed", on);
    button.textContent = on ? words.recordOff : words.record;
    if (on) say("");
  }

  const say = (text) => Call.say("recording-refused", text);

  /* Said by the patient, written by the nurse: the box records nothing without it, and erases when it is taken back. */
  function consent() {
    const fields = { what: "recording", given: agreed.checked, how: "spoken" };
    Call.send({ type: "entry", id: Call.uuid(), kind: "consent", at: Date.now() / 1000, fields });
    show();
  }

  function press() {
    say("");
    Call.send({ type: "record", on: !Call.place.recording });
  }

  if (button) {
    button.addEventListener("click", press);
    agreed.addEventListener("change", consent);
    Call.on("recording", ({ message }) => say(message));
  }
  Call.on("state", show);
  Call.on("turned", show);
  Call.on("left", show);
})();
