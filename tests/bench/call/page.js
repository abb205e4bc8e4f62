// What the benchmark measures in every page of a call, whoever serves it: a clock painted into the camera's picture, read
// where the picture is shown (latency of each frame until the screen shows it), and what getStats says, four times a second.
(() => {
  "use strict";
  if (window.__bench || window.top !== window) return;
  const SETUP = __SETUP__; // {width, height, fps, who}
  const COLUMNS = 12, ROWS = 2, BAND = 0.2; // 24 blocks in the lowest fifth: 18 bits of ms, 2 of who, 4 of a check
  const CLOCK = 2 ** 18;
  const EVERY_MS = 250;
  const FURTHER_MS = 20, FURTHER_MS_MAX = 150; // less is how exact the clocks are, more another stream
  const peers = [], frames = [], samples = [], errors = [];
  let said = "";

  const check = (value) => {
    let sum = 5;
    for (let left = value; left; left = Math.floor(left / 16)) sum ^= left % 16;
    return sum;
  };

  // The camera

  function texture() {
    const found = new OffscreenCanvas(SETUP.width * 2, SETUP.height * 2);
    const context = found.getContext("2d");
    let seed = 7;
    const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
    for (let each = 0; each < 1500; each++) {
      context.fillStyle = `hsl(${random() * 360} 40% ${20 + random() * 60}%)`;
      const size = 4 + random() * 40;
      context.fillRect(random() * found.width, random() * found.height, size, size);
    }
    return found;
  }

  function camera() {
    const { width, height, fps, who } = SETUP;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d", { alpha: false });
    const around = texture();
    const [track] = canvas.captureStream(0).getVideoTracks();
    let count = 0;
    context.drawImage(around, 0, 0);
    const paint = () => {
      if (track.readyState === "ended") return clearInterval(timer);
      const at = count++ / fps;
      // a head that moves before a wall that stands still
      const [x, y] = [width * (0.3 + 0.05 * Math.sin(at * 2)), height * (0.15 + 0.03 * Math.sin(at * 3))];
      const from = [width * (0.5 + 0.4 * Math.sin(at * 1.3)), height * (0.5 + 0.4 * Math.cos(at * 1.7))];
      context.drawImage(around, ...from, width * 0.4, height * 0.55, x, y, width * 0.4, height * 0.55);
      const stamp = (Date.now() % CLOCK) * 4 + who;
      const value = stamp * 16 + check(stamp);
      const [wide, high] = [width / COLUMNS, (height * BAND) / ROWS];
      for (let each = 0; each < COLUMNS * ROWS; each++) {
        context.fillStyle = Math.floor(value / 2 ** each) % 2 ? "#fff" : "#000";
        const row = Math.floor(each / COLUMNS);
        context.fillRect((each % COLUMNS) * wide, height * (1 - BAND) + row * high, wide, high);
      }
      track.requestFrame();
    };
    const timer = setInterval(paint, 1000 / fps);
    return track;
  }

  const devices = navigator.mediaDevices;
  if (devices) {
    const real = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (asked) => {
      const stream = asked.audio ? await real({ audio: asked.audio }) : new MediaStream();
      if (asked.video) stream.addTrack(camera());
      return stream;
    };
  }

  // The picture that comes

  const looking = new OffscreenCanvas(COLUMNS * 4, ROWS * 4);
  const eye = looking.getContext("2d", { willReadFrequently: true });

  // Returns what the painted clock says, or null where it cannot be read.
  function read(video) {
    const [width, height] = [video.videoWidth, video.videoHeight];
    eye.drawImage(video, 0, height * (1 - BAND), width, height * BAND, 0, 0, looking.width, looking.height);
    const { data } = eye.getImageData(0, 0, looking.width, looking.height);
    let value = 0;
    for (let each = 0; each < COLUMNS * ROWS; each++) {
      const [x, y] = [(each % COLUMNS) * 4 + 1, Math.floor(each / COLUMNS) * 4 + 1];
      let sum = 0;
      for (const [dx, dy] of [[0, 0], [1, 0], [0, 1], [1, 1]]) sum += data[((y + dy) * looking.width + x + dx) * 4];
      if (sum > 4 * 127) value += 2 ** each;
    }
    const stamp = Math.floor(value / 16);
    return check(stamp) === value % 16 ? { at: Math.floor(stamp / 4), who: stamp % 4 } : null;
  }

  // Returns by how many ms the frame that is read is further than the one told of: a newer one may be shown by then. The
  // painted clock and the stream's lie equally far apart, but for those.
  function furtherBy() {
    let [apart, of] = [null, null];
    return ({ at, who }, stamp) => {
      if (stamp === undefined) return 0;
      const now = (((at - stamp / 90) % CLOCK) + CLOCK) % CLOCK;
      const by = apart === null || who !== of ? NaN : now - apart;
      if (by > FURTHER_MS && by < FURTHER_MS_MAX) return by;
      [apart, of] = [now, who];
      return 0;
    };
  }

  function watch(track) {
    if (track.kind !== "video") return;
    const video = document.createElement("video");
    video.muted = video.playsInline = true;
    video.srcObject = new MediaStream([track]);
    Object.assign(video.style, { position: "fixed", right: 0, bottom: 0, width: "64px", height: "48px", zIndex: 9 });
    document.body.append(video);
    video.play().catch(() => {});
    let presented = 0; // a busy page is not called for each frame
    const further = furtherBy();
    const seen = (at, { presentedFrames, expectedDisplayTime, rtpTimestamp }) => {
      // a page is told of a frame after it was shown, by up to two frames of the screen
      const shown = Date.now() - (performance.now() - expectedDisplayTime);
      const clock = read(video);
      const latency = clock && (shown - clock.at + further(clock, rtpTimestamp) + 2 * CLOCK) % CLOCK;
      frames.push([shown, latency, video.videoWidth, video.videoHeight, clock && clock.who, presentedFrames - presented]);
      presented = presentedFrames;
      video.requestVideoFrameCallback(seen);
    };
    video.requestVideoFrameCallback(seen);
  }

  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(...given) {
      super(...given);
      peers.push(this);
      this.addEventListener("track", (event) => watch(event.track));
    }
  };

  const sockets = [];
  const RealSocket = window.WebSocket;
  window.WebSocket = class extends RealSocket {
    constructor(...given) {
      super(...given);
      sockets.push(this);
    }
  };
  const say = (message) => {
    const open = sockets.filter((each) => each.readyState === 1).pop();
    if (open) open.send(JSON.stringify(message));
    return Date.now();
  };

  // What getStats and the page say

  async function sample() {
    const found = { at: Date.now(), heard: {}, shown: {}, sent: {}, bytes: 0 };
    for (const [number, peer] of peers.entries()) {
      if (peer.connectionState === "closed") continue;
      for (const each of (await peer.getStats()).values()) {
        const key = `${number} ${each.id}`;
        if (each.type === "inbound-rtp" && each.kind === "audio") {
          const { packetsReceived, packetsLost, totalSamplesReceived, concealedSamples, silentConcealedSamples } = each;
          found.heard[key] =
            [packetsReceived, packetsLost, totalSamplesReceived, concealedSamples, silentConcealedSamples];
        } else if (each.type === "inbound-rtp" && each.kind === "video") {
          const { framesDecoded, frameWidth, frameHeight, keyFramesDecoded, bytesReceived, pliCount, nackCount } = each;
          found.shown[key] =
            [framesDecoded, frameWidth, frameHeight, keyFramesDecoded, bytesReceived, pliCount, nackCount];
        } else if (each.type === "outbound-rtp") {
          found.sent[key] = [each.kind, each.bytesSent, each.framesEncoded || 0, each.keyFramesEncoded || 0];
        }
        if (each.type === "candidate-pair") found.bytes += each.bytesReceived || 0;
      }
    }
    samples.push(found);
    const words = {};
    for (const part of ["status", "quality", "outlook"]) {
      const shown = document.querySelector(`[data-show=${part}]`);
      if (shown) words[part] = shown.textContent.trim();
    }
    const text = JSON.stringify(words);
    if (text === said) return;
    said = text;
    found.words = words;
  }

  window.addEventListener("error", (event) => errors.push(String(event.message)));
  let busy = false;
  setInterval(async () => {
    if (busy) return;
    busy = true;
    await sample().catch((error) => errors.push(String(error)));
    busy = false;
  }, EVERY_MS);
  const hears = () => samples.some((each) => Object.values(each.heard).some(([packets]) => packets > 5));
  window.__bench = { peers, say, hears, now: () => ({ frames, samples, errors }) };
})();
