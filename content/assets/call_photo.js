/* A photo in full size goes to the box in pieces, beside the call, and goes on where it broke off.

   The box knows it by its SHA-256; the record names it once it is whole there. */
"use strict";
(() => {
  const { root, words } = Call;
  const form = root.querySelector("[data-photo]");
  const files = root.dataset.files;
  if (!form || !files) return;
  const PIECE_BYTES = 65_536;
  const PIECE_MS = 120_000; // one piece over a link that carries little beside a voice
  const PAUSES_MS = [500, 1000, 2000, 4000];
  const REFUSED_MAX = 5; // times in a row
  const SIDE_PX = 320;
  const MEANT = new Set(["image/jpeg", "image/png", "image/webp"]);
  const QUALITY = 0.92;
  const list = root.querySelector("[data-list=photos]");
  const say = (text) => (form.querySelector("output").textContent = text);
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));

  let taken = null;

  // Taking

  async function take() {
    const track = Call.local && Call.local.getVideoTracks()[0];
    if (!track || track.readyState !== "live") return say(words.noCamera);
    say(words.taking);
    prepare(await full(track).catch(() => frame()));
  }

  async function full(track) {
    if (!window.ImageCapture) throw new Error("no ImageCapture");
    const photo = new ImageCapture(track).takePhoto();
    return Promise.race([photo, wait(6000).then(() => Promise.reject(new Error("late")))]);
  }

  // The video's own frame, where nothing better is to be had.
  async function frame() {
    const video = document.querySelector("[data-role=self]");
    return drawn(video, video.videoWidth, video.videoHeight);
  }

  function drawn(source, width, height) {
    const canvas = Call.make("canvas", { width, height });
    canvas.getContext("2d").drawImage(source, 0, 0, width, height);
    return new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  }

  async function prepare(blob) {
    const decoded = blob && (await createImageBitmap(blob).catch(() => null));
    if (!decoded) return say(words.notPhoto);
    taken = MEANT.has(blob.type) ? blob : await drawn(decoded, decoded.width, decoded.height);
    const preview = form.querySelector("canvas");
    const scale = Math.min(1, SIDE_PX / Math.max(decoded.width, decoded.height));
    preview.width = Math.round(decoded.width * scale);
    preview.height = Math.round(decoded.height * scale);
    preview.getContext("2d").drawImage(decoded, 0, 0, preview.width, preview.height);
    form.querySelector("[data-taken]").hidden = false;
    say(`${decoded.width} × ${decoded.height} · ${size(taken.size)}`);
  }

  function size(bytes) {
    const format = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1 });
    return `${format.format(bytes / (bytes < 1e6 ? 1e3 : 1e6))} ${bytes < 1e6 ? "kB" : "MB"}`;
  }

  function drop() {
    taken = null;
    form.querySelector("[data-taken]").hidden = true;
    form.querySelector("input[type=file]").value = "";
    say("");
  }

  // Sending

  function submit(event) {
    event.preventDefault();
    if (!taken) return say(words.takeFirst);
    const { subject, note } = form.elements;
    send(taken, subject.value, note.value.trim());
    note.value = "";
    drop();
  }

  async function send(blob, subject, note) {
    const control = new AbortController();
    const row = progress(words[subject], () => control.abort());
    list.prepend(row.item);
    try {
      const bytes = await blob.arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      const sha256 = Array.from(digest, (each) => each.toString(16).padStart(2, "0")).join("");
      await upload(`${files}/${sha256}`, blob, row, control.signal);
      record({ sha256, media_type: blob.type, size_bytes: blob.size, subject, note }, row);
    } catch (error) {
      if (control.signal.aborted) return row.item.remove();
      row.fail(error.message, () => {
        row.item.remove();
        send(blob, subject, note);
      });
    }
  }

  function record(fields, row) {
    Call.write("photo", fields, (now, why) => {
      row.say({ sending: words.sending, kept: "", refused: `${words.refused} ${why}` }[now]);
      if (now === "refused") row.fail(`${words.refused} ${why}`, () => row.item.remove() || record(fields, row));
      if (now === "kept") row.item.remove();
    });
  }

  // A photo's row while it is on its way.
  function progress(name, cancel) {
    const bar = Call.make("progress", { max: 1, value: 0, ariaLabel: name });
    const said = Call.make("span", { className: "small" });
    const stop = Call.make("button", { type: "button", className: "link", textContent: words.cancel, onclick: cancel });
    const item = Call.make("li", { className: "going" }, Call.make("b", { textContent: name }), bar, said, stop);
    return {
      item,
      say: (text) => (said.textContent = text),
      at(ratio, bytes) {
        bar.value = ratio;
        said.textContent = `${Math.floor(ratio * 100)} % · ${size(bytes)}`;
      },
      fail(text, again) {
        said.textContent = text;
        stop.after(Call.make("button", { type: "button", className: "link", textContent: words.again, onclick: again }));
      },
    };
  }

  // Returns when the box has all of it; goes on from what is there, however often the way breaks.
  async function upload(url, blob, row, signal) {
    let tries = 0;
    let offset = -1;
    while (offset < blob.size) {
      try {
        const asked = offset < 0;
        offset = asked ? await there(url, signal) : await put(url, blob, offset, signal);
        if (!asked) tries = 0;
        row.at(Math.max(0, offset) / blob.size, blob.size);
      } catch (error) {
        if (signal.aborted || error.final || (error.refused && tries >= REFUSED_MAX)) throw error;
        offset = -1;
        row.say(words.photoWaits);
        await wait(PAUSES_MS[Math.min(tries++, PAUSES_MS.length - 1)]);
        if (signal.aborted) throw error;
      }
    }
  }

  async function ask(url, signal, options) {
    const deadline = new AbortController();
    const late = setTimeout(() => deadline.abort(), PIECE_MS);
    const stop = () => deadline.abort();
    signal.addEventListener("abort", stop);
    try {
      return await fetch(url, { ...options, cache: "no-store", signal: deadline.signal });
    } finally {
      clearTimeout(late);
      signal.removeEventListener("abort", stop);
    }
  }

  async function there(url, signal) {
    const answer = await ask(url, signal, { method: "HEAD" });
    if (answer.status === 404) return 0;
    if (!answer.ok) throw fault(answer);
    return Number(answer.headers.get("Upload-Offset")) || 0;
  }

  async function put(url, blob, offset, signal) {
    const body = blob.slice(offset, offset + PIECE_BYTES);
    const headers = { "Upload-Offset": offset, "Upload-Length": blob.size, "Content-Type": "application/octet-stream" };
    const answer = await ask(url, signal, { method: "PUT", headers, body });
    if (!answer.ok) throw fault(answer);
    return answer.status === 201 ? blob.size : Number(answer.headers.get("Upload-Offset")) || offset + body.size;
  }

  // What will not get better ends it; a piece that was refused otherwise may have broken off on its way.
  function fault({ status }) {
    const final = { 401: words.notAllowed, 403: words.notAllowed, 404: words.notAllowed, 413: words.tooLarge, 507: words.noSpace }[status];
    return Object.assign(new Error(final || words.photoRefused), { final: Boolean(final), refused: status === 400 });
  }

  // What is in the record

  function show(entry) {
    if (entry.kind !== "photo") return;
    const { sha256, subject, note } = entry.fields;
    const image = Call.make("img", { alt: [words[subject], note].filter(Boolean).join(": "), loading: "lazy", decoding: "async" });
    const tile = Call.make("button", { type: "button", className: "shot" }, image, Call.make("span", { className: "small", textContent: image.alt }));
    let tries = 0;
    const load = () => (image.src = `${files}/${sha256}?lado=${SIDE_PX}`);
    image.onerror = () => tries < 6 && setTimeout(load, PAUSES_MS[Math.min(tries++, 3)]); // the sender's last piece may be under way
    load();
    tile.onclick = () => Call.tell("look", { entry, url: `${files}/${sha256}`, alt: image.alt, small: image });
    list.prepend(Call.make("li", {}, tile, Call.head(entry)));
  }

  form.addEventListener("submit", submit);
  form.querySelector("[data-action=take]").addEventListener("click", take);
  form.querySelector("[data-action=drop]").addEventListener("click", drop);
  form.querySelector("input[type=file]").addEventListener("change", (event) => event.target.files[0] && prepare(event.target.files[0]));
  Call.on("written", show);
})();
