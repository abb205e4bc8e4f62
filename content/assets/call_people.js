/* The others: who is large, who speaks, whose picture rests and why, and a still of them meanwhile. */
"use strict";
(() => {
  const { root, words, find } = Call;
  const tiles = [...root.querySelectorAll("[data-slot]")].map((tile) => {
    return { tile, video: tile.querySelector("video"), stream: new MediaStream(), image: tile.querySelector("img"), who: tile.querySelector("[data-who]"), why: tile.querySelector("[data-why]") };
  });
  const stills = new Map(); // the last picture of each person, and when it came
  const rested = new Map(); // since when a picture rests

  function play(each) {
    each.video.play().then(
      () => hear(false),
      (error) => error.name === "NotAllowedError" && hear(true),
    );
  }

  // Browsers may want a touch before a page makes a sound.
  function hear(wanted) {
    const button = find("[data-action=hear]");
    if (button) button.hidden = !wanted || !Call.wanted;
  }

  function track({ slot, track: came }) {
    const shown = tiles[slot];
    if (!shown) return;
    for (const each of shown.stream.getTracks()) if (each.kind === came.kind) shown.stream.removeTrack(each);
    shown.stream.addTrack(came);
    if (!shown.video.srcObject) shown.video.srcObject = shown.stream;
    play(shown);
  }

  function show() {
    const { place } = Call;
    const slots = place.slots || [{ who: "", picture: true }];
    const seen = slots.slice(0, tiles.length);
    const large = Math.max(0, seen.findIndex((each) => each.who !== null && each.who === (place.focus || place.pinned)));
    let small = 0;
    tiles.forEach((each, at) => {
      const slot = seen[at] || { who: null };
      each.tile.hidden = at !== large && slot.who === null;
      each.tile.dataset.at = at === large ? "large" : String(++small);
      describe(each, slot, (place.people || []).find((person) => person.who === slot.who));
    });
    const away = find("[data-show=people]");
    if (away) away.textContent = unseen(place, seen);
  }

  function describe({ tile, image, who, why }, slot, person) {
    const pinned = Boolean(person) && Call.place.pinned === person.who;
    tile.classList.toggle("speaks", Boolean(person) && person.speaks);
    tile.setAttribute("aria-pressed", pinned);
    tile.disabled = !person;
    const name = person ? words[person.who] || person.who : "";
    who.textContent = [name, pinned && words.pinned, person && !person.voice && words.muted].filter(Boolean).join(" · ");
    const state = stateOf(slot, person);
    tile.dataset.state = state;
    if (state !== "paused") rested.delete(slot.who);
    else if (!rested.has(slot.who)) rested.set(slot.who, Date.now());
    const still = state === "paused" && stills.get(slot.who);
    if (still && image.src !== still.image) image.src = still.image;
    image.hidden = !still;
    const rests = state === "paused" ? (still ? still.at : rested.get(slot.who)) : 0;
    const old = rests ? Call.fill(words.stillAge, { age: Call.age((Date.now() - rests) / 1000) }) : "";
    why.textContent = [{ paused: restsBecause(), off: words.pictureIsOff, away: words.away }[state], old].filter(Boolean).join(" ");
  }

  function stateOf(slot, person) {
    if (!person) return "";
    if (!person.heard) return "away";
    if (!person.picture) return "off";
    return slot.picture ? "picture" : "paused";
  }

  function restsBecause() {
    const cause = Call.place.quality ? Call.place.quality.cause : "";
    return { "village-link": words.restsVillage, "far-side": words.restsFar, device: words.restsDevice }[cause] || words.rests;
  }

  // Who is in without a place on the stage.
  function unseen(place, seen) {
    const names = (place.people || []).filter((each) => each.who !== Call.role && !seen.some((slot) => slot.who === each.who));
    return names.map((each) => words[each.who] || each.who).join(", ");
  }

  function keep({ who, image }) {
    if (!/^[A-Za-z0-9+/]+=*$/.test(image)) return;
    const type = image.startsWith("UklG") ? "webp" : image.startsWith("iVBOR") ? "png" : "jpeg";
    stills.set(who, { image: `data:image/${type};base64,${image}`, at: Date.now() });
    show();
  }

  function pin(at) {
    const slot = (Call.place.slots || [])[at];
    if (slot && slot.who && Call.knows()) Call.send({ type: "pin", who: Call.place.pinned === slot.who ? null : slot.who });
  }

  function clear() {
    for (const each of tiles) Object.assign(each, { stream: new MediaStream() }).video.srcObject = null;
    stills.clear();
    rested.clear();
    hear(false);
    show();
  }

  tiles.forEach((each, at) => each.tile.addEventListener("click", () => pin(at)));
  const button = find("[data-action=hear]");
  if (button) button.addEventListener("click", () => tiles.filter((each) => each.video.srcObject).forEach(play));
  Call.on("track", track);
  Call.on("state", show);
  Call.on("still", keep);
  Call.on("second", show);
  Call.on("left", clear);
})();
