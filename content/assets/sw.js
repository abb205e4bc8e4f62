/* The shop opens without the box: its shell, style, script and the pictures seen are kept; no order and no receipt is.

   The box writes SHELL above this: { version, page, outbox, files }. */
"use strict";
importScripts(SHELL.outbox);
const PREFIX = "tambo-shop-";
const CACHE = PREFIX + SHELL.version;
const PICTURES = `${PREFIX}pictures`;
const PICTURES_MAX = 300; // 3 KB each
const PATIENCE_MS = 8_000; // for a page, before the shell is shown
const POST_PATIENCE_MS = 20_000; // what is sent may have an effect: it is given more time
const ANY = { ignoreSearch: true, ignoreVary: true };

async function fill() {
  const cache = await caches.open(CACHE);
  await cache.addAll([new Request(SHELL.page, { cache: "reload" }), ...SHELL.files]);
}

async function clean() {
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && ![CACHE, PICTURES].includes(name));
  await Promise.all(names.map((name) => caches.delete(name)));
  await self.clients.claim();
}

const kept = async (request) => (await caches.open(CACHE)).match(request, ANY);
const tooLong = (limit_ms) => new Promise((_, reject) => setTimeout(() => reject(new Error("too long")), limit_ms));

async function openPage(request) {
  try {
    return await Promise.race([fetch(request), tooLong(PATIENCE_MS)]);
  } catch (_) {
    return (await kept(SHELL.page)) || Response.error();
  }
}

/* An order form that did not reach the box is not lost: what was typed waits for the shell, which takes it up. */
async function sendForm(request) {
  const typed = request.clone();
  try {
    return await Promise.race([fetch(request), tooLong(POST_PATIENCE_MS)]);
  } catch (_) {
    const fields = Object.fromEntries(await typed.formData());
    if (fields.revision) return Response.error(); // a change of what the box has; going back brings the form again
    delete fields.token;
    await self.Outbox.set("draft", fields);
    return Response.redirect(SHELL.page, 303);
  }
}

async function openPicture(request) {
  const cache = await caches.open(PICTURES);
  const found = await cache.match(request, ANY);
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok) {
    await cache.put(request, answer.clone());
    const all = await cache.keys();
    await Promise.all(all.slice(0, Math.max(0, all.length - PICTURES_MAX)).map((each) => cache.delete(each)));
  }
  return answer;
}

const openFile = async (request) => (await kept(request)) || fetch(request);

async function sendAll() {
  const { contact } = await self.Outbox.flush();
  if (contact === "away") throw new Error("the box is away"); // the browser comes back by itself
}

self.addEventListener("install", (event) => event.waitUntil(fill().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(clean()));
self.addEventListener("message", (event) => event.data === "renew" && event.waitUntil(fill().catch(() => {})));
self.addEventListener("sync", (event) => event.tag === "outbox" && event.waitUntil(sendAll()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== self.location.origin) return;
  if (request.method === "POST" && request.mode === "navigate" && pathname === "/tienda") {
    event.respondWith(sendForm(request));
  } else if (request.method !== "GET") return;
  else if (request.mode === "navigate") event.respondWith(openPage(request));
  else if (pathname.startsWith("/tienda/foto/")) event.respondWith(openPicture(request));
  else if (pathname.startsWith("/static/")) event.respondWith(openFile(request));
});
