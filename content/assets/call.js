/* A consultation's page, the ground of its scripts: what all of them know, and what the person reads.

   Nothing is kept but in this page's memory: no storage, no cache, no address, no title. The scripts hear of each other
   by `on` and `tell`; each of them leaves the others working when it is late or fails. */
"use strict";
const Call = (() => {
  const root = document.querySelector("[data-call]");
  const words = JSON.parse(document.querySelector("script[data-strings]").textContent);
  const ALONE = { others: false, heard: false, plan: { send: false, picture: false } };
  const CASE_S = 15; // a call that is away for so long may be given up for a written case
  const QUIET_MAX = 2; // seconds without a packet of anybody: the box itself waits longer
  const hearers = new Map();
  const find = (selector) => root.querySelector(selector);

  const call = {
    root,
    words,
    find,
    ALONE,
    role: root.dataset.role,
    wanted: false, // the person has joined and not left
    checking: false, // devices and link are looked at before joining
    place: ALONE, // what the box last said of the call
    local: null, // our sound and picture
    peer: null,
    muted: false,
    hidden: false,
    screen: null, // the shared screen's track
    notice: "", // what was refused, or why it ended
    isOver: false, // the clinic ended it
    advice: words.ready,
    outlook: "", // what the link would carry
    silentS: 0, // seconds without a byte of the box
    quietS: 0, // seconds in a row without a packet of another person
    looked: () => Promise.resolve(), // once it is known what the link carries, or nobody finds out
    isUp: () => Boolean(call.peer) && call.peer.connectionState === "connected",
    isOpen: () => false,
    isCut: () => false,
    knows: () => Array.isArray(call.place.people), // the box takes more than offers
    send() {},
    on,
    tell,
    say,
    fill,
    age,
    uuid,
    make,
    show,
  };
  let since = 0; // when the call went away
  let shown = "";

  function on(name, hear) {
    hearers.set(name, [...(hearers.get(name) || []), hear]);
  }

  function tell(name, what) {
    for (const hear of hearers.get(name) || []) hear(what);
  }

  function say(part, text) {
    const found = find(`[data-show=${part}]`);
    if (found && found.textContent !== text) found.textContent = text;
  }

  function fill(text, values) {
    return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  function age(seconds) {
    return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  }

  /* UUIDv4 (RFC 9562 §5.4); crypto.randomUUID is newer than our oldest browser. */
  function uuid() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  function make(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function now() {
    const { place } = call;
    if (!call.wanted) return call.notice ? ["ended", call.notice] : ["idle", call.advice];
    if (call.notice) return ["waiting", call.notice];
    if (call.isCut()) return ["reconnecting", cutWhere()];
    if (!call.isUp()) return ["waiting", words.joining];
    if (!place.others) return ["waiting", words.waiting];
    if (!place.heard || call.quietS >= QUIET_MAX) {
      return ["reconnecting", linkIsDown() ? words.linkDown : words.interrupted];
    }
    const sends = call.screen || (!call.hidden && call.local.getVideoTracks().length);
    if (!sends) return ["connected", words.unseen];
    const rests = !place.plan.picture && !(place.quality && place.quality.cause === "none"); // or nobody looks at it
    return ["connected", rests ? words.paused : words.connected];
  }

  const linkIsDown = () => Boolean(call.place.link) && call.place.link.state === "down";

  function cutWhere() {
    if (navigator.onLine === false) return words.noNetwork;
    if (linkIsDown()) return words.linkDown;
    return "door" in root.dataset ? words.linkCut : words.reconnecting;
  }

  function show() {
    const [state, text] = now();
    const { wanted, place } = call;
    since = state === "reconnecting" ? since || Date.now() : 0;
    root.dataset.connection = state;
    say("status", text);
    say("outlook", place.others || call.isOver ? "" : call.outlook);
    control("check", !wanted && !call.isOver);
    control("join", !wanted && !call.isOver);
    control("leave", wanted);
    control("mute", wanted, call.muted, call.muted ? words.unmute : words.mute);
    control("picture", wanted, call.hidden, call.hidden ? words.pictureOn : words.pictureOff);
    control("share", wanted && Boolean(navigator.mediaDevices), Boolean(call.screen), call.screen ? words.shareOff : words.share);
    if (state !== shown) tell("turned", (shown = state));
    tick();
  }

  function control(action, usable, pressed, text) {
    const found = find(`[data-action=${action}]`);
    if (!found) return;
    found.disabled = !usable;
    if (!text) return;
    found.textContent = text;
    found.setAttribute("aria-pressed", pressed);
  }

  /* How long the call is away, and whether a written case is offered instead. */
  function tick() {
    const awayS = since ? (Date.now() - since) / 1000 : 0;
    say("since", since ? age(awayS) : "");
    const offer = find("[data-show=case]");
    if (offer) offer.hidden = call.isOver || !(awayS >= CASE_S || call.notice);
  }

  setInterval(tick, 1000);
  return call;
})();
