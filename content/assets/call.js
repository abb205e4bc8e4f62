// A consultation's page: devices, one socket to the box, one connection for sound and picture.
// Both come back by themselves: the socket with growing pauses, the connection when it has failed.
(() => {
  "use strict";
  const root = document.querySelector("[data-call]");
  if (!root) return;
  const words = JSON.parse(document.querySelector("script[data-strings]").textContent);
  const find = (selector) => root.querySelector(selector);
  const self = find("[data-role=self]");
  const remote = find("[data-role=remote]");

  const PAUSES_MS = [500, 1000, 2000, 4000];
  const REFUSED_MS = 8000;
  const DIAL_MS = 5000;
  const FRESH_MS = 7000; // the box speaks every 5 s
  const SILENCE_MS = 15000;
  const STILL_MAX = 3; // seconds without a byte of the box, which sends two reports a second whatever anybody says
  const GATHER_MS = 1000;
  const ANSWER_MS = 12000;
  const FAILED_MS = 2000;
  const CUT_MS = 20000; // "disconnected" mends itself when the link is back
  const WATCH_MS = 1000;
  const ALONE = { others: false, heard: false, plan: { send: false, picture: false } };

  let local = null; // our sound and picture
  let socket = null;
  let peer = null;
  let wanted = false; // the person has joined and not left
  let place = ALONE; // what the box last said of the call
  let muted = false;
  let hidden = false;
  let tries = 0;
  let heardAt = 0;
  let offeredAt = 0; // 0: no answer is awaited
  let brokenAt = 0; // 0: the connection is whole
  let notice = ""; // what was refused, or why it ended
  let outlook = ""; // what the link would carry
  let received = 0; // bytes of this connection
  let still = 0; // seconds in a row in which none came
  let measured = null;
  let retry, watching, metering, lock;
  let applying = Promise.resolve();

  Object.defineProperty(window, "__tamboPeer", { get: () => peer });

  // What the person reads

  function say(part, text) {
    const shown = find(`[data-show=${part}]`);
    if (shown && shown.textContent !== text) shown.textContent = text;
  }

  const isUp = () => peer && peer.connectionState === "connected";

  function now() {
    if (!wanted) return notice ? ["ended", notice] : ["idle", words.ready];
    if (notice) return ["waiting", notice];
    // what flows goes on without the socket
    if (brokenAt || (isUp() ? still >= STILL_MAX : !socket)) return ["reconnecting", words.reconnecting];
    if (!isUp()) return ["waiting", words.joining];
    if (!place.others) return ["waiting", words.waiting];
    if (!place.heard) return ["reconnecting", words.interrupted];
    if (!place.plan.picture) return ["connected", words.paused];
    return ["connected", local.getVideoTracks().length ? words.connected : words.unseen];
  }

  function show() {
    const [state, text] = now();
    root.dataset.connection = state;
    say("status", text);
    say("outlook", wanted && !place.others ? outlook : "");
    control("check", !wanted);
    control("join", !wanted);
    control("leave", wanted);
    control("mute", wanted, muted, muted ? words.unmute : words.mute);
    control("picture", wanted, hidden, hidden ? words.pictureOn : words.pictureOff);
  }

  function control(action, usable, pressed, text) {
    const found = find(`[data-action=${action}]`);
    found.disabled = !usable;
    if (!text) return;
    found.textContent = text;
    found.setAttribute("aria-pressed", pressed);
  }

  // Camera and microphone

  async function devices() {
    if (local && local.active) return true;
    if (!navigator.mediaDevices) return refuse(words.insecure);
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const video = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 20, max: 20 } };
    try {
      local = await navigator.mediaDevices.getUserMedia({ audio, video }).catch((error) => {
        if (error.name === "NotAllowedError") throw error;
        return navigator.mediaDevices.getUserMedia({ audio });
      });
    } catch (error) {
      return refuse({ NotAllowedError: words.denied, NotFoundError: words.missing }[error.name] || words.busy);
    }
    self.srcObject = local;
    self.play().catch(() => {});
    return true;
  }

  function refuse(text) {
    say("status", text);
    return false;
  }

  async function check() {
    say("status", words.checking);
    if (!(await devices())) return;
    say("status", local.getVideoTracks().length ? words.checked : words.checkedSound);
    level();
  }

  function level() {
    const meter = find("[data-show=level]");
    if (!meter || metering || !window.AudioContext) return;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    const samples = new Uint8Array(analyser.fftSize);
    context.createMediaStreamSource(local).connect(analyser);
    metering = setInterval(() => {
      analyser.getByteTimeDomainData(samples);
      meter.value = Math.max(...samples.map((each) => Math.abs(each - 128))) / 64;
      if (local && local.active) return;
      metering = clearInterval(metering);
      context.close();
    }, 200);
  }

  // The socket

  const isOpen = () => socket && socket.readyState === WebSocket.OPEN;

  function send(message) {
    if (isOpen()) socket.send(JSON.stringify(message));
  }

  function dial() {
    clearTimeout(retry);
    if (!wanted || socket) return;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const dialled = new WebSocket(`${scheme}//${location.host}${root.dataset.socket}`);
    socket = dialled;
    heardAt = Date.now();
    dialled.onopen = () => (isUp() ? send({ type: "resume" }) : offer());
    dialled.onmessage = (event) => {
      if (socket !== dialled) return;
      heardAt = Date.now();
      hear(JSON.parse(event.data));
    };
    dialled.onclose = () => socket === dialled && lost();
    show();
  }

  function lost() {
    const gone = socket;
    socket = null;
    offeredAt = 0;
    gone.close();
    const pause = PAUSES_MS[Math.min(tries++, PAUSES_MS.length - 1)];
    retry = setTimeout(dial, pause * (0.8 + 0.4 * Math.random()));
    show();
  }

  async function hear(message) {
    tries = 0;
    if (message.type === "ping") send({ type: "pong" });
    else if (message.type === "again") await offer();
    else if (message.type === "renew") await renew();
    else if (message.type === "answer") await accept(message.sdp);
    else if (message.type === "state") {
      place = message;
      apply();
    } else if (message.type === "outlook") outlook = message.message;
    else if (message.type === "refused") {
      if (message.final) end(message.message);
      notice = message.message;
      offeredAt = 0;
      clearTimeout(retry);
      if (wanted) retry = setTimeout(offer, REFUSED_MS);
    } else if (message.reason === "replaced") end(words.replaced);
    show();
  }

  // The connection

  async function offer() {
    if (!wanted || !isOpen()) return;
    if (peer) peer.close();
    const made = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
    peer = made;
    place = ALONE;
    brokenAt = received = still = 0;
    for (const kind of ["audio", "video"]) {
      const track = local.getTracks().find((each) => each.kind === kind);
      // nothing is sent before the box says that somebody is there
      if (track) made.addTransceiver(track, { streams: [local], sendEncodings: [{ active: false }] });
      else made.addTransceiver(kind, { direction: "recvonly" });
    }
    made.ontrack = (event) => {
      if (remote.srcObject !== event.streams[0]) remote.srcObject = event.streams[0];
      remote.play().catch(() => {});
    };
    made.onconnectionstatechange = () => {
      if (made !== peer) return;
      const broken = ["disconnected", "failed"].includes(made.connectionState);
      brokenAt = broken ? brokenAt || Date.now() : 0;
      show();
    };
    await propose(made);
    show();
  }

  // The same connection again: the answer asks for another voice.
  async function renew() {
    if (isUp() && !offeredAt && peer.signalingState === "stable") await propose(peer);
  }

  async function propose(made) {
    offeredAt = Date.now();
    await made.setLocalDescription(await made.createOffer());
    if (made.iceGatheringState !== "complete") {
      await new Promise((done) => {
        setTimeout(done, GATHER_MS);
        made.onicegatheringstatechange = () => made.iceGatheringState === "complete" && done();
      });
    }
    if (made === peer) send({ type: "offer", sdp: made.localDescription.sdp });
  }

  async function accept(sdp) {
    const answered = peer;
    offeredAt = 0;
    notice = "";
    await answered.setRemoteDescription({ type: "answer", sdp }).catch(() => answered === peer && offer());
  }

  // Sends what the plan allows and the person wants sent.
  function apply() {
    const { send: listened, picture } = place.plan;
    const on = { audio: listened, video: listened && picture && !hidden };
    applying = applying.then(async () => {
      for (const sender of peer ? peer.getSenders() : []) {
        const parameters = sender.track ? sender.getParameters() : {};
        const [encoding] = parameters.encodings || [];
        if (!encoding || encoding.active === on[sender.track.kind]) continue;
        encoding.active = on[sender.track.kind];
        await sender.setParameters(parameters).catch(() => {});
      }
    });
  }

  // Every second: what is alive, and how good is it

  function watch() {
    const at = Date.now();
    const silent = at - heardAt;
    if (socket && silent > (isOpen() ? SILENCE_MS : DIAL_MS)) lost();
    const patience = peer && peer.connectionState === "failed" ? FAILED_MS : CUT_MS;
    const broken = brokenAt && at - brokenAt > patience;
    // while nothing crosses, what there is may still come back
    if (silent < FRESH_MS && (broken || (offeredAt && at - offeredAt > ANSWER_MS))) offer();
    measure();
  }

  async function measure() {
    const measuring = peer;
    if (!isUp() && !brokenAt) return say("quality", "");
    const reports = [...(await measuring.getStats()).values()];
    if (measuring !== peer) return;
    pulse(reports);
    quality(reports);
  }

  // Whether the box is still at the other end: a link that moved tells nobody. It is asked once, and says how to go on.
  function pulse(reports) {
    const pairs = reports.filter((each) => each.type === "candidate-pair");
    const bytes = pairs.reduce((sum, each) => sum + (each.bytesReceived || 0), 0);
    still = bytes === received ? still + 1 : 0;
    received = bytes;
    if (still === STILL_MAX && isOpen() && Date.now() - heardAt > (STILL_MAX - 0.5) * WATCH_MS) lost();
    show();
  }

  function quality(reports) {
    if (!isUp() || !place.others) return say("quality", "");
    const seen = { samples: 0, concealed: 0, frames: 0 };
    for (const report of reports) {
      if (report.type !== "inbound-rtp") continue;
      seen.samples += report.totalSamplesReceived || 0;
      seen.concealed += report.concealedSamples || 0;
      seen.frames += report.framesDecoded || 0;
    }
    const before = measured;
    measured = seen;
    if (!before || seen.samples <= before.samples) return; // a new connection counts anew
    const ratio = (seen.concealed - before.concealed) / (seen.samples - before.samples);
    const text = ratio < 0.02 ? words.good : ratio < 0.08 ? words.fair : words.poor;
    say("quality", seen.frames > before.frames ? text : `${text} · ${words.soundOnly}`);
  }

  // What the person does

  async function join() {
    if (wanted || !(await devices()) || wanted) return;
    wanted = true;
    muted = hidden = false;
    notice = "";
    tries = 0;
    watching = setInterval(watch, WATCH_MS);
    stayAwake();
    dial();
  }

  function end(text) {
    send({ type: "bye" });
    wanted = false;
    notice = text;
    clearTimeout(retry);
    clearInterval(watching);
    const gone = [socket, peer];
    socket = peer = null;
    for (const each of gone) if (each) each.close();
    for (const track of local ? local.getTracks() : []) track.stop();
    local = self.srcObject = remote.srcObject = null;
    brokenAt = offeredAt = 0;
    if (lock) lock.release().catch(() => {});
    lock = null;
    say("quality", "");
    show();
  }

  function mute() {
    muted = !muted;
    for (const track of local.getAudioTracks()) track.enabled = !muted;
    show();
  }

  function picture() {
    hidden = !hidden;
    for (const track of local.getVideoTracks()) track.enabled = !hidden;
    apply();
    show();
  }

  async function stayAwake() {
    if (wanted && navigator.wakeLock) lock = await navigator.wakeLock.request("screen").catch(() => null);
  }

  for (const [action, act] of Object.entries({ check, join, leave: () => end(words.left), mute, picture })) {
    find(`[data-action=${action}]`).addEventListener("click", act);
  }
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && stayAwake());
  window.addEventListener("online", dial);
  window.addEventListener("pagehide", () => wanted && end(words.left));
  show();
  if (!navigator.mediaDevices) say("status", words.insecure);
})();
