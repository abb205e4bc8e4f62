/* Every second: what is alive, how good is it, and how long pictures wait for their sound; every five the box is told,
   which sees only what it sends. */
"use strict";
(() => {
  const { words } = Call;
  const TOLD_S = 5;
  const QUIET_S = 0.6; // the box sends two reports a second
  const LISTEN_MS = 250; // so often while nothing comes
  const AHEAD_S = 0.12; // lips seen so much before they are heard are seen at once (ITU-R BT.1359-1: 0.125 s)
  const SAMPLES_A_S = 48000; // of Opus
  const WAITS_S_MAX = 4; // what browsers take
  const LONG_S = 0.35; // few links need it, and two who converse feel it
  const CALM_S = 3; // nothing was made up for so long: what is waited for does not come
  const JITTER_S = 0.05;
  const ANEW_MS = 20000; // a sound is begun anew so seldom, and each time half as often
  const NAMES = { good: words.good, fair: words.fair, poor: words.poor, voice: words.soundOnly };

  let received = 0; // bytes of this connection
  let receivedAt = 0;
  let listening;
  let packets = 0; // of other people
  let counted = null; // at the last telling
  let measured = null; // a second ago
  let seconds = 0;
  let sounds = new Map(); // of each connection's part: what it had played a second ago
  let relaxedAt = 0;
  let pause = ANEW_MS;

  function begin() {
    received = packets = seconds = 0;
    sounds = new Map();
    receivedAt = Date.now();
    pause = ANEW_MS;
    counted = measured = null;
  }

  async function measure() {
    const measuring = Call.peer;
    if (!measuring || (!Call.isUp() && !Call.isCut())) return Call.say("quality", "");
    const reports = [...(await measuring.getStats()).values()];
    if (measuring !== Call.peer) return;
    const sum = count(reports, measuring.getTransceivers());
    Call.quietS = sum.packets && sum.packets === packets ? Call.quietS + 1 : 0;
    packets = sum.packets;
    pulse(reports);
    hurry(reports, measuring.getTransceivers());
    quality(sum);
    figures(sum);
    Call.show();
  }

  function pulse(reports) {
    const pairs = reports.filter((each) => each.type === "candidate-pair");
    const bytes = pairs.reduce((total, each) => total + (each.bytesReceived || 0), 0);
    const ages = pairs.map((each) => each.timestamp - each.lastPacketReceivedTimestamp).filter((age) => age >= 0);
    if (bytes !== received) receivedAt = Date.now() - (ages.length ? Math.min(...ages) : 0);
    received = bytes;
    Call.silentS = (Date.now() - receivedAt) / 1000;
    Call.doubt();
    clearTimeout(listening);
    if (Call.silentS > QUIET_S) listening = setTimeout(listen, LISTEN_MS);
  }

  async function listen() {
    const listened = Call.peer;
    if (!listened || !Call.isUp()) return;
    const reports = [...(await listened.getStats()).values()];
    if (listened === Call.peer) pulse(reports);
  }

  // What came for the places where somebody is; an empty one conceals all the time.
  function count(reports, transceivers) {
    const sum = { at: Date.now(), samples: 0, concealed: 0, frames: 0, frozen: 0, packets: 0, waited: 0, emitted: 0, rtt: null };
    const slots = Call.place.slots || [{ who: "" }];
    const taken = new Set();
    transceivers.forEach((each, at) => {
      const slot = slots[Math.floor(at / 2)];
      if (slot && slot.who !== null) taken.add(each.mid);
    });
    for (const each of reports) {
      if (each.type === "candidate-pair" && each.nominated) sum.rtt = each.currentRoundTripTime ?? sum.rtt;
      if (each.type !== "inbound-rtp" || (each.mid !== undefined && !taken.has(each.mid))) continue;
      sum.packets += each.packetsReceived || 0;
      sum.samples += each.totalSamplesReceived || 0;
      sum.concealed += each.concealedSamples || 0;
      sum.frames = Math.max(sum.frames, each.framesDecoded || 0);
      sum.frozen = Math.max(sum.frozen, each.totalFreezesDuration || 0);
      if (each.kind !== "audio") continue;
      sum.waited += each.jitterBufferDelay || 0;
      sum.emitted += each.jitterBufferEmittedCount || 0;
    }
    return sum;
  }

  function quality(now) {
    const { quality: said, others } = Call.place;
    const before = measured;
    measured = now;
    if (!Call.isUp() || !others) return Call.say("quality", "");
    if (said) return Call.say("quality", [NAMES[said.word], said.message].filter(Boolean).join(" · "));
    if (!before || now.samples <= before.samples) return; // a new connection counts anew
    const ratio = (now.concealed - before.concealed) / (now.samples - before.samples);
    const text = ratio < 0.02 ? words.good : ratio < 0.08 ? words.fair : words.poor;
    Call.say("quality", now.frames > before.frames ? text : `${text} · ${words.soundOnly}`);
  }

  // A weak link's sound waits long for its late packets: the picture need not wait as long (see `apart`).
  function hurry(reports, transceivers) {
    for (const each of reports) {
      if (each.type !== "inbound-rtp" || each.kind !== "audio" || !each.jitterBufferEmittedCount) continue;
      const { jitterBufferDelay: waited, jitterBufferEmittedCount: played, packetsReceived: came } = each;
      const before = sounds.get(each.mid);
      const calm = before && each.concealedSamples === before.concealed && each.jitter < JITTER_S;
      sounds.set(each.mid, { waited, played, came, concealed: each.concealedSamples, calm: calm ? before.calm + 1 : 0 });
      const picture = transceivers[transceivers.findIndex((other) => other.mid === each.mid) + 1];
      if (!before || !picture || played <= before.played || came <= before.came) continue;
      const waits = (waited - before.waited) / (played - before.played);
      relax(each, waits);
      const speaks = (played - before.played) / (came - before.came) / SAMPLES_A_S; // in each packet
      picture.receiver.jitterBufferTarget = 1000 * Math.min(Math.max(0, waits + speaks - AHEAD_S), WAITS_S_MAX);
    }
  }

  // What a cut has made wait stays late long after it, unless it is begun anew.
  function relax(sound, waits) {
    if (waits < LONG_S || sounds.get(sound.mid).calm < CALM_S || Date.now() - relaxedAt < pause) return;
    pause *= 2;
    relaxedAt = Date.now();
    Call.hearAnew(sound.mid).catch(() => {});
  }

  const less = (now, before) => Math.max(0, now - before);

  function figures(now) {
    counted = counted || now;
    if (++seconds % TOLD_S) return;
    const before = counted;
    counted = now;
    if (now === before || !Call.knows() || !Call.place.others) return;
    const lasting = (now.at - before.at) / 1000;
    const samples = less(now.samples, before.samples);
    const emitted = less(now.emitted, before.emitted);
    const waited = emitted ? less(now.waited, before.waited) / emitted : null;
    Call.send({
      type: "figures",
      fps: less(now.frames, before.frames) / lasting,
      frozen_s: Math.min(lasting, less(now.frozen, before.frozen)),
      concealed_ratio: samples ? Math.min(1, less(now.concealed, before.concealed) / samples) : 0,
      delay_s: waited === null || now.rtt === null ? null : waited + now.rtt / 2,
    });
  }

  Call.on("offered", begin);
  Call.on("second", measure);
  Call.on("left", () => Call.say("quality", ""));
})();
