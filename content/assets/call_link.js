/* One socket to the box and one connection for sound and picture; both come back by themselves, for as long as it takes.

   The socket is dialled again with growing pauses, the connection made anew when it has failed; what flows goes on
   without the socket. */
"use strict";
(() => {
  const { root, words } = Call;
  const PAUSES_MS = [500, 1000, 2000, 4000];
  const REFUSED_MS = 8000;
  const DIAL_MS = 5000;
  const FRESH_MS = 7000; // the box speaks every 5 s
  const SILENCE_MS = 15000;
  // seconds without a byte of the box, which sends two reports a second whatever anybody says
  const DOUBT_S = 1.2;
  const STILL_MAX = 3;
  const GATHER_MS = 1000;
  const RELAYED_MS = 3000; // a relay is asked over the network
  const ANSWER_MS = 12000;
  const FAILED_MS = 2000;
  const CUT_MS = 20000; // "disconnected" mends itself when the link is back
  const WATCH_MS = 1000;
  const PAIRS = Math.min(3, Math.max(1, Number(root.dataset.slots) || 1));
  const ENDS = { replaced: words.replaced, ended: words.over };
  const ICE = JSON.parse(root.dataset.ice || "[]");

  let socket = null;
  let tries = 0;
  let heardAt = 0;
  let offeredAt = 0; // 0: no answer is awaited
  let brokenAt = 0; // 0: the connection is whole
  let retry, watching;

  Object.defineProperty(window, "__tamboPeer", { get: () => Call.peer });
  Call.isOpen = () => Boolean(socket) && socket.readyState === WebSocket.OPEN;
  Call.isCut = () => Boolean(brokenAt) || (Call.isUp() ? Call.silentS >= STILL_MAX : !socket);
  Call.send = send;
  Call.dial = dial;
  Call.doubt = doubt;
  Call.begin = begin;
  Call.end = end;
  Call.hearAnew = hearAnew;

  // The socket

  function send(message) {
    if (Call.isOpen()) socket.send(JSON.stringify(message));
    return Call.isOpen();
  }

  function dial() {
    clearTimeout(retry);
    if (!(Call.wanted || Call.checking) || socket) return;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const dialled = new WebSocket(`${scheme}//${location.host}${root.dataset.socket}`);
    socket = dialled;
    heardAt = Date.now();
    dialled.onopen = () => {
      greet();
      Call.tell("open");
    };
    dialled.onmessage = (event) => {
      if (socket !== dialled) return;
      heardAt = Date.now();
      hear(JSON.parse(event.data));
    };
    dialled.onclose = () => socket === dialled && lost();
    Call.show();
  }

  function greet() {
    if (!Call.wanted) return;
    if (Call.isUp()) send({ type: "resume" });
    else offer();
  }

  function lost(pause = PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]) {
    tries++;
    const gone = socket;
    socket = null;
    offeredAt = 0;
    gone.close();
    Call.tell("lost");
    retry = setTimeout(dial, pause * (0.8 + 0.4 * Math.random()));
    Call.show();
  }

  async function hear(message) {
    tries = 0;
    if (message.type === "ping") send({ type: "pong" });
    else if (message.type === "again") await offer();
    else if (message.type === "renew") await renew();
    else if (message.type === "answer") await accept(message.sdp);
    else if (message.type === "state") settle(message);
    else if (message.type === "outlook") Call.outlook = message.message;
    else if (message.type === "refused") refused(message);
    else if (message.type === "bye" && ENDS[message.reason]) {
      Call.isOver = message.reason === "ended";
      end(ENDS[message.reason]);
    }
    else Call.tell(message.type, message);
    Call.show();
  }

  // Whoever is told how the call stands is in it, whatever was refused meanwhile.
  function settle(state) {
    Call.notice = "";
    clearTimeout(retry);
    Call.place = state;
    Call.tell("state", state);
  }

  function refused(message) {
    if (message.id) return Call.tell("refused", message);
    if (message.final) end(message.message);
    if (!Call.wanted) Call.checking = false;
    Call.notice = message.message;
    offeredAt = 0;
    clearTimeout(retry);
    if (Call.wanted) retry = setTimeout(() => (socket ? offer() : dial()), REFUSED_MS);
  }

  // The connection

  async function offer() {
    if (!Call.wanted || !Call.isOpen()) return;
    if (Call.peer) Call.peer.close();
    const made = new RTCPeerConnection({ iceServers: ICE, bundlePolicy: "max-bundle" });
    Call.peer = made;
    Call.place = { ...Call.ALONE, link: Call.place.link };
    brokenAt = Call.silentS = Call.quietS = 0;
    for (let pair = 0; pair < PAIRS; pair++) for (const kind of ["audio", "video"]) add(made, kind, pair);
    made.ontrack = (event) => {
      const at = made.getTransceivers().indexOf(event.transceiver);
      Call.tell("track", { slot: Math.floor(at / 2), track: event.track });
    };
    made.onconnectionstatechange = () => {
      if (made !== Call.peer) return;
      const broken = ["disconnected", "failed"].includes(made.connectionState);
      brokenAt = broken ? brokenAt || Date.now() : 0;
      Call.show();
    };
    Call.tell("offered");
    await propose(made);
    Call.show();
  }

  // The first pair carries us out; nothing is sent before the box says that somebody is there.
  function add(made, kind, pair) {
    if (pair) return made.addTransceiver(kind, { direction: "recvonly" });
    const priority = kind === "audio" ? "high" : "low";
    const encoding = { active: false, priority, networkPriority: priority };
    const track = Call.sent(kind);
    return made.addTransceiver(track || kind, { streams: [Call.local], sendEncodings: [encoding] });
  }

  // The same connection again: the answer asks for another voice.
  async function renew() {
    if (Call.isUp() && !offeredAt && Call.peer.signalingState === "stable") await propose(Call.peer);
  }

  async function propose(made) {
    offeredAt = Date.now();
    await made.setLocalDescription(await made.createOffer());
    if (made.iceGatheringState !== "complete") {
      await new Promise((done) => {
        setTimeout(done, ICE.length ? RELAYED_MS : GATHER_MS);
        made.onicegatheringstatechange = () => made.iceGatheringState === "complete" && done();
      });
    }
    if (made === Call.peer) send({ type: "offer", sdp: made.localDescription.sdp });
  }

  async function accept(sdp) {
    const answered = Call.peer;
    offeredAt = 0;
    Call.notice = "";
    if (answered) {
      await answered.setRemoteDescription({ type: "answer", sdp: apart(sdp) }).catch(() => answered === Call.peer && offer());
    }
  }

  // In one stream a picture waits until it is heard, however late the sound: where it can be told how long, it is apart.
  function apart(sdp) {
    if (!("jitterBufferTarget" in RTCRtpReceiver.prototype)) return sdp;
    return sdp.replace(/^a=msid:(\S+) audio/gm, "a=msid:$1-sound audio");
  }

  // A browser that once had to wait long for a sound waits as long for a minute; a sound that is new begins without.
  async function hearAnew(mid) {
    const made = Call.peer;
    if (!Call.isUp() || offeredAt || made.signalingState !== "stable") return;
    const { sdp } = made.remoteDescription;
    for (const answer of [without(sdp, mid), sdp]) {
      await made.setLocalDescription(await made.createOffer());
      await made.setRemoteDescription({ type: "answer", sdp: answer });
    }
  }

  // The same answer, where nothing is sent to us in one part.
  function without(sdp, mid) {
    const parts = sdp.split(/^(?=m=)/m).map((part) => {
      if (!part.includes(`a=mid:${mid}\r\n`)) return part;
      const silent = part.replace(/^a=sendrecv/m, "a=recvonly").replace(/^a=sendonly/m, "a=inactive");
      return silent.replace(/^a=(ssrc|ssrc-group|msid):.*\r\n/gm, "");
    });
    return parts.join("");
  }

  // Every second: what is alive

  function watch() {
    const at = Date.now();
    const silent = at - heardAt;
    if (socket && silent > (Call.isOpen() ? SILENCE_MS : DIAL_MS)) lost();
    const patience = Call.peer && Call.peer.connectionState === "failed" ? FAILED_MS : CUT_MS;
    const broken = brokenAt && at - brokenAt > patience;
    // while nothing crosses, what there is may still come back
    if (silent < FRESH_MS && (broken || (offeredAt && at - offeredAt > ANSWER_MS))) offer();
    Call.tell("second");
  }

  // A link that moved tells nobody: the box is asked once, and says how to go on.
  function doubt() {
    if (Call.silentS >= DOUBT_S && Call.isOpen() && Date.now() - heardAt > DOUBT_S * 1000) lost(0);
  }

  function begin() {
    Call.wanted = true;
    Call.notice = "";
    tries = 0;
    clearInterval(watching);
    watching = setInterval(watch, WATCH_MS);
    Call.looked().then(() => (Call.isOpen() ? greet() : dial()));
    Call.tell("joined");
  }

  function end(text) {
    send({ type: "bye" });
    Call.wanted = Call.checking = false;
    Call.notice = text;
    clearTimeout(retry);
    clearInterval(watching);
    const gone = [socket, Call.peer];
    socket = Call.peer = null;
    for (const each of gone) if (each) each.close();
    Call.place = Call.ALONE;
    brokenAt = offeredAt = 0;
    Call.tell("left");
    Call.show();
  }

  window.addEventListener("online", dial);
  window.addEventListener("pagehide", () => (Call.wanted || Call.checking) && end(words.left));
  window.addEventListener("pageshow", (event) => event.persisted && location.reload()); // what was shown is gone
})();
