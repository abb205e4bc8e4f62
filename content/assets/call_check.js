/* Beyond the link, before the call: the box and this page send each other a little, and time it.

   The box leads and times; this page sends what it is asked to, and shows what the box concludes. */
"use strict";
(() => {
  const PIECE_BYTES = 1400;
  const LOADED_MS = 4000; // pictures of a record may take longer
  const LATEST_MS = 6000; // the call begins with a guess then
  const FRESH_MS = 300000;

  let looking = null;
  let lookedAt = 0; // 0: never

  const after = (ms) => new Promise((done) => setTimeout(done, ms));
  const loaded = new Promise((done) => window.addEventListener("load", done)); // nothing else comes meanwhile
  const begun = Promise.race([loaded, after(LOADED_MS)]);

  // Whoever joins waits for it, but never long.
  Call.looked = () => (Date.now() - lookedAt < FRESH_MS ? Promise.resolve() : Promise.race([look(), after(LATEST_MS)]));

  function look() {
    if (looking) return looking;
    Call.outlook = Call.words.looking;
    Call.show();
    looking = begun.then(() => new Promise(exchange)).then(() => {
      looking = null;
      if (Call.outlook === Call.words.looking) Call.outlook = "";
      Call.show();
    });
    return looking;
  }

  function exchange(done) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${Call.root.dataset.check}`);
    const latest = setTimeout(() => socket.close(), LATEST_MS);
    socket.onmessage = ({ data }) => typeof data === "string" && obey(socket, JSON.parse(data));
    socket.onclose = () => {
      clearTimeout(latest);
      done();
    };
  }

  function obey(socket, message) {
    if (message.type === "send") send(socket, message.bytes);
    if (message.type !== "outlook") return;
    lookedAt = Date.now();
    Call.outlook = message.message;
  }

  function send(socket, bytes) {
    for (let left = bytes; left > 0; left -= PIECE_BYTES) {
      socket.send(crypto.getRandomValues(new Uint8Array(Math.min(PIECE_BYTES, left))));
    }
  }

  look();
})();
