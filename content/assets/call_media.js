/* Our own sound and picture: which devices, what is switched on, how much of it is sent, and a still while it rests.

   The box says what the link carries; the sizes below keep a picture sharp enough and moving at that rate. */
"use strict";
(() => {
  const { root, words, find } = Call;
  const self = find("[data-role=self]");
  const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  const PICTURE = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 25, max: 25 } };
  // below this many bits a second: the picture's height and pictures a second (measured with VP8)
  const SIZES = [
    [65_000, 120, 15],
    [220_000, 180, 20],
    [350_000, 240, 20],
    [550_000, 360, 20],
    [Infinity, 480, 25],
  ];
  const STAYS_RATIO = 0.7; // of what made it grow: each change of size costs a whole picture
  const SHARED_FPS = 5; // text that is read, not watched
  const CHANGE_RATIO = 0.1; // a cap that moved less is left as it is
  const STILL_PX = 112;
  const STILL_BYTES_MAX = 900; // one packet: the voice of a link of 40 kb/s waits a fifth of a second behind it
  const TONE_S = 0.6;

  let camera = ""; // the chosen device
  let metering, lock;
  let size = 0; // of SIZES
  let announced = "";
  let stillAt = 0;
  let applying = Promise.resolve();

  Call.sent = (kind) => {
    if (kind === "video" && Call.screen) return Call.screen;
    return Call.local && Call.local.getTracks().find((each) => each.kind === kind);
  };

  const sender = (kind) => {
    const [audio, video] = Call.peer ? Call.peer.getTransceivers() : [];
    const found = kind === "audio" ? audio : video;
    return found && found.sender;
  };

  // Camera and microphone

  async function devices() {
    if (Call.local && Call.local.active) return true;
    if (!navigator.mediaDevices) return refuse(words.insecure);
    const ask = (video) => navigator.mediaDevices.getUserMedia({ audio: SOUND, video });
    try {
      Call.local = await ask(pictureOf(camera)).catch((error) => {
        if (error.name === "NotAllowedError") return ask(false).catch(() => Promise.reject(error));
        return ask(false);
      });
    } catch (error) {
      return refuse({ NotAllowedError: words.denied, NotFoundError: words.missing }[error.name] || words.busy);
    }
    mirror();
    listCameras();
    return true;
  }

  const pictureOf = (id) => (id ? { ...PICTURE, deviceId: { exact: id } } : { ...PICTURE, facingMode: "user" });

  function mirror() {
    const [track] = Call.local ? Call.local.getVideoTracks() : [];
    const front = !Call.screen && track && track.getSettings().facingMode !== "environment";
    self.srcObject = Call.screen ? new MediaStream([Call.screen]) : Call.local;
    self.classList.toggle("mirrored", Boolean(front));
    self.play().catch(() => {});
    root.toggleAttribute("data-unseen", !Call.screen && (!track || Call.hidden));
  }

  function refuse(text) {
    Call.advice = text;
    Call.show();
    return false;
  }

  async function check() {
    Call.notice = "";
    refuse(words.checking);
    if (!(await devices())) return;
    refuse(Call.local.getVideoTracks().length ? words.checked : words.checkedSound);
    for (const each of root.querySelectorAll("[data-checked]")) each.hidden = false;
    Call.checking = true;
    Call.dial();
    level();
  }

  function level() {
    const meter = find("[data-show=level]");
    if (!meter || metering || !window.AudioContext) return;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    const samples = new Uint8Array(analyser.fftSize);
    const listened = Call.local;
    context.createMediaStreamSource(listened).connect(analyser);
    metering = setInterval(() => {
      analyser.getByteTimeDomainData(samples);
      meter.value = Math.max(...samples.map((each) => Math.abs(each - 128))) / 64;
      if (listened === Call.local && listened.active) return;
      metering = clearInterval(metering);
      meter.value = 0;
      context.close();
    }, 200);
  }

  function tone() {
    const context = new AudioContext();
    const [source, volume] = [context.createOscillator(), context.createGain()];
    volume.gain.value = 0.2;
    source.frequency.value = 523; // a C: speakers of phones play it well
    source.connect(volume).connect(context.destination);
    source.start();
    source.stop(context.currentTime + TONE_S);
    source.onended = () => context.close();
  }

  // Which camera

  async function listCameras() {
    const choice = find("[data-choice=camera]");
    if (!choice) return;
    const found = (await navigator.mediaDevices.enumerateDevices()).filter((each) => each.kind === "videoinput");
    const [track] = Call.local ? Call.local.getVideoTracks() : [];
    const used = track ? track.getSettings().deviceId : "";
    const named = found.map((each, at) => new Option(each.label || `${words.camera} ${at + 1}`, each.deviceId));
    choice.replaceChildren(...named);
    choice.value = used;
    for (const each of root.querySelectorAll("[data-cameras]")) each.hidden = found.length < 2;
  }

  async function choose(id) {
    camera = id;
    if (!Call.local || !Call.local.active) return;
    const [before] = Call.local.getVideoTracks();
    if (before) before.stop(); // a phone opens one camera at a time
    const opened = await navigator.mediaDevices.getUserMedia({ video: pictureOf(id) }).catch(() => null);
    if (before) Call.local.removeTrack(before);
    if (opened) Call.local.addTrack(opened.getVideoTracks()[0]);
    Call.say("hint", opened ? "" : words.cameraBusy);
    switchOn();
    await replace();
    listCameras();
  }

  function turn() {
    const choice = find("[data-choice=camera]");
    choice.selectedIndex = (choice.selectedIndex + 1) % choice.length;
    choose(choice.value);
  }

  async function replace() {
    const carries = sender("video");
    if (carries) await carries.replaceTrack(Call.sent("video") || null).catch(() => {});
    mirror();
    apply();
    Call.show();
  }

  // Switches

  function switchOn() {
    for (const track of Call.local ? Call.local.getTracks() : []) {
      track.enabled = track.kind === "audio" ? !Call.muted : !Call.hidden;
    }
  }

  function flip(name) {
    Call[name] = !Call[name];
    switchOn();
    mirror();
    apply();
    Call.show();
  }

  async function share() {
    if (Call.screen) return unshare();
    const asked = { video: { frameRate: { max: 10 } }, audio: false };
    const shown = await navigator.mediaDevices.getDisplayMedia(asked).catch(() => null);
    if (!shown) return;
    [Call.screen] = shown.getVideoTracks();
    if (!Call.wanted) return unshare();
    Call.screen.contentHint = "detail";
    Call.screen.onended = unshare;
    await replace();
  }

  async function unshare() {
    if (Call.screen) Call.screen.stop();
    Call.screen = null;
    await replace();
  }

  function announce() {
    const picture = Boolean(Call.screen) || (!Call.hidden && Boolean(Call.sent("video")));
    const message = { type: "switches", voice: !Call.muted, picture, share: Boolean(Call.screen) };
    const said = JSON.stringify(message);
    if (Call.knows() && said !== announced && Call.send(message)) announced = said;
  }

  // Sends what the plan allows and the person wants sent.
  function apply() {
    announce();
    const { send: listened, picture } = Call.place.plan;
    const on = { audio: listened, video: listened && picture && (Boolean(Call.screen) || !Call.hidden) };
    applying = applying.then(async () => {
      for (const kind of ["audio", "video"]) {
        const carries = sender(kind);
        const parameters = carries && carries.track ? carries.getParameters() : {};
        const [encoding] = parameters.encodings || [];
        if (!encoding) continue;
        const sized = kind === "video" && fit(encoding, carries.track);
        if (encoding.active === on[kind] && !sized) continue;
        encoding.active = on[kind];
        await carries.setParameters(parameters).catch(() => {});
      }
    });
  }

  // Whether the encoding was changed: its rate, size and pictures a second follow the plan.
  function fit(encoding, track) {
    const bps = Call.place.plan.video_bps;
    if (!bps) return false;
    const grown = SIZES.findIndex(([below]) => bps < below);
    const stays = grown < size && bps >= STAYS_RATIO * SIZES[size - 1][0];
    if (!stays) size = grown;
    const [, height, fps] = SIZES[size];
    const { width: wide = 640, height: high = 480 } = track.getSettings();
    const scale = Call.screen ? 1 : Math.max(1, Math.min(wide, high) / height);
    const shown = Call.screen ? SHARED_FPS : fps;
    const near = Math.abs((encoding.maxBitrate || 0) - bps) <= bps * CHANGE_RATIO;
    if (near && encoding.scaleResolutionDownBy === scale && encoding.maxFramerate === shown) return false;
    Object.assign(encoding, { maxBitrate: bps, scaleResolutionDownBy: scale, maxFramerate: shown });
    return true;
  }

  // A still every few seconds while our picture rests

  async function still() {
    const { send: listened, picture, still_s: pause } = Call.place.plan;
    const track = Call.sent("video");
    const due = listened && !picture && pause && track && (Call.screen || !Call.hidden) && Date.now() - stillAt >= pause * 1000;
    if (!due || !Call.knows() || !self.videoWidth) return;
    stillAt = Date.now();
    const scale = Math.min(1, STILL_PX / Math.max(self.videoWidth, self.videoHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(self.videoWidth * scale);
    canvas.height = Math.round(self.videoHeight * scale);
    canvas.getContext("2d").drawImage(self, 0, 0, canvas.width, canvas.height);
    for (const quality of [0.5, 0.3, 0.15, 0.05]) {
      for (const type of ["webp", "jpeg"]) {
        const [head, image] = canvas.toDataURL(`image/${type}`, quality).split(",");
        const fits = head.includes(type) && image.length * 0.75 <= STILL_BYTES_MAX; // who writes no WebP writes PNG
        if (fits) return Call.send({ type: "still", image });
      }
    }
  }

  // Joining and leaving

  async function join() {
    if (Call.wanted || !(await devices()) || Call.wanted) return;
    Call.muted = Call.hidden = false;
    Call.advice = words.ready;
    switchOn();
    stayAwake();
    Call.begin();
    mirror();
    level();
  }

  function left() {
    for (const track of Call.local ? Call.local.getTracks() : []) track.stop();
    if (Call.screen) Call.screen.stop();
    Call.local = Call.screen = self.srcObject = null;
    root.removeAttribute("data-unseen");
    if (lock) lock.release().catch(() => {});
    lock = null;
  }

  async function stayAwake() {
    if (Call.wanted && navigator.wakeLock) lock = await navigator.wakeLock.request("screen").catch(() => null);
  }

  const acts = {
    check,
    join,
    tone,
    turn,
    share,
    leave: () => Call.end(words.left),
    mute: () => flip("muted"),
    picture: () => flip("hidden"),
  };
  for (const [action, act] of Object.entries(acts)) {
    for (const each of root.querySelectorAll(`[data-action=${action}]`)) each.addEventListener("click", act);
  }
  const choice = find("[data-choice=camera]");
  if (choice) choice.addEventListener("change", () => choose(choice.value));
  const sharing = find("[data-action=share]");
  if (sharing) sharing.hidden = !(navigator.mediaDevices && navigator.mediaDevices.getDisplayMedia);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && stayAwake());
  for (const event of ["open", "offered"]) Call.on(event, () => (announced = ""));
  Call.on("state", apply);
  Call.on("second", still);
  Call.on("left", left);
  Call.on("turned", () => Call.wanted && !lock && stayAwake());
  if (!navigator.mediaDevices) Call.advice = words.insecure;
  Call.show();
})();
