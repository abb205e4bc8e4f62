/* An order waits in this phone until the box's own receipt for it is here; nothing else takes it out.

   Pages and the service worker share this file. One of them sends at a time (Web Locks, else a lease in the database);
   that two send the same order is harmless, since the box knows it by its id. */
"use strict";
self.Outbox = (() => {
  const DATABASE = "tambo-shop";
  const ASK_MS = 20_000; // one question to the box, over a weak Wi-Fi
  const LEASE_MS = 45_000; // longer than one question
  const LOOK_MAX = 100; // ids in one question, as the box allows
  const SENT_MS_MAX = 3 * 86_400_000; // what nobody answered by then is looked up on the box
  const HASH = /^[0-9a-f]{64}$/;
  const FAULTY = new Set(["bad-request", "conflict", "faulty-order", "too-large"]);
  const told = typeof BroadcastChannel === "function" ? new BroadcastChannel("tambo-outbox") : null;
  const me = uuid();
  const listeners = [];
  let opened = null;

  /* UUIDv4 (RFC 9562 §5.4); crypto.randomUUID is newer than our oldest browser, and not there without https. */
  function uuid() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }

  function open() {
    if (!opened) {
      opened = new Promise((resolve, reject) => {
        const asked = indexedDB.open(DATABASE, 1);
        asked.onupgradeneeded = () => {
          asked.result.createObjectStore("orders", { keyPath: "id" });
          asked.result.createObjectStore("sent", { keyPath: "id" });
          asked.result.createObjectStore("kept"); // phone, draft, lease
        };
        asked.onsuccess = () => {
          asked.result.onversionchange = () => asked.result.close();
          asked.result.onclose = () => (opened = null); // storage was cleared
          resolve(asked.result);
        };
        asked.onerror = asked.onblocked = () => reject(asked.error || new Error("blocked"));
      });
      opened.catch(() => (opened = null));
    }
    return opened;
  }

  /* Run `work` in one transaction; what it hands to its second argument is the result, once all is on disk. */
  async function within(stores, mode, work) {
    const database = await open();
    return new Promise((resolve, reject) => {
      const all = database.transaction(stores, mode, { durability: "strict" });
      let result;
      all.oncomplete = () => resolve(result);
      all.onabort = all.onerror = () => reject(all.error || new Error("aborted"));
      work((name) => all.objectStore(name), (value) => (result = value));
    });
  }

  const list = (name) =>
    within([name], "readonly", (store, give) => {
      store(name).getAll().onsuccess = (event) => give(event.target.result.sort((one, other) => one.at - other.at));
    });
  const get = (key) =>
    within(["kept"], "readonly", (store, give) => {
      store("kept").get(key).onsuccess = (event) => give(event.target.result);
    });
  const set = (key, value) => within(["kept"], "readwrite", (store) => store("kept").put(value, key));
  const unset = (key) => within(["kept"], "readwrite", (store) => store("kept").delete(key));

  function tell(news) {
    for (const each of listeners) each(news);
    if (told) told.postMessage(news);
  }
  if (told) told.onmessage = (event) => listeners.forEach((each) => each(event.data));

  /* Keep an order before it is ever sent; one that is corrected takes the place of the former. */
  async function put(entry, former) {
    await within(["orders"], "readwrite", (store) => {
      if (former && former !== entry.id) store("orders").delete(former);
      store("orders").put(entry);
    });
    tell({});
  }

  async function discard(id) {
    await within(["orders"], "readwrite", (store) => store("orders").delete(id));
    tell({});
  }

  const wipe = () =>
    within(["sent", "kept"], "readwrite", (store) => {
      store("sent").clear();
      store("kept").clear();
    });

  /* Note what stands in an order's way, unless it has gone or was corrected meanwhile. */
  const mark = (entry, changes) =>
    within(["orders"], "readwrite", (store) => {
      store("orders").get(entry.id).onsuccess = ({ target: { result } }) => {
        if (result && result.at === entry.at) store("orders").put({ ...result, ...changes });
      };
    });

  /* The one way out: a receipt. Of the order itself nothing stays but its number, its total and its time. */
  const settle = (entry, receipt) =>
    within(["orders", "sent"], "readwrite", (store) => {
      const { id, at, total_minor, currency } = entry;
      store("orders").delete(id);
      store("sent").put({ id, at, total_minor, currency, receipt, name: "", tone: "care", settled: false });
    });

  async function ask(path, body, fields) {
    const cut = new AbortController();
    const timer = setTimeout(() => cut.abort(), ASK_MS);
    try {
      const answer = await fetch(path, {
        method: "POST",
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error",
        signal: cut.signal,
        headers: { Accept: "application/json", "Content-Type": "application/json", ...fields },
        body: JSON.stringify(body),
      });
      const said = await answer.json().catch(() => null);
      return { status: answer.status, said, wait_s: Number(answer.headers.get("Retry-After")) || 0 };
    } catch (_) {
      return { status: 0, said: null, wait_s: 0 };
    } finally {
      clearTimeout(timer);
    }
  }

  /* What an answer means for the order with this id. An answer that is not the box's own means nothing. */
  function judge(id, { status, said }) {
    if (!said || typeof said !== "object") return "again";
    const isReceipt = said.id === id && typeof said.receipt === "string" && said.receipt && HASH.test(said.hash);
    if (status === 200 || status === 201) return isReceipt ? "done" : "again";
    const code = said.error && said.error.code;
    if (code === "stale-token") return "stale";
    if (code === "other-shop") return "other";
    if ((status === 401 || status === 403) && code) return "signin";
    return status >= 400 && status < 500 && FAULTY.has(code) ? "faulty" : "again";
  }

  const isHello = ({ status, said }) => status === 200 && said && said.token && Array.isArray(said.orders);
  const sentence = (said) => [said.error.message, said.error.advice].filter(Boolean).join(" ");

  async function alone(work) {
    if (navigator.locks) {
      return navigator.locks.request("tambo-outbox", { ifAvailable: true }, (lock) => (lock ? work(async () => true) : null));
    }
    const hold = () =>
      within(["kept"], "readwrite", (store, give) => {
        store("kept").get("lease").onsuccess = ({ target: { result: held } }) => {
          const left_ms = held && held.by !== me ? held.until - Date.now() : 0;
          const isFree = left_ms <= 0 || left_ms > LEASE_MS; // longer than a lease: the clock was moved
          if (isFree) store("kept").put({ by: me, until: Date.now() + LEASE_MS }, "lease");
          give(isFree);
        };
      });
    if (!(await hold())) return null;
    try {
      return await work(hold);
    } finally {
      await unset("lease").catch(() => {});
    }
  }

  async function note(orders) {
    const news = new Map(orders.map((each) => [each.id, each]));
    const midnight = new Date().setHours(0, 0, 0, 0);
    await within(["sent"], "readwrite", (store) => {
      store("sent").openCursor().onsuccess = ({ target: { result: at } }) => {
        if (!at) return;
        const found = news.get(at.value.id);
        const isOld = at.value.at < midnight && (at.value.settled || at.value.at < Date.now() - SENT_MS_MAX);
        if (isOld) at.delete();
        else if (found) at.update({ ...at.value, ...found });
        at.continue();
      };
    });
    return news;
  }

  /* Hand in what waits, and hear what became of what was handed in. Returns "idle", "busy", "reached", "signin", "away". */
  async function pass(hold, isAsked) {
    const [waiting, sent] = [await list("orders"), await list("sent")];
    const unsettled = sent.filter((each) => !each.settled);
    if (!waiting.length && !unsettled.length && !isAsked) return { contact: "idle", wait_s: 0 };
    const ids = [...waiting, ...unsettled.reverse()].map((each) => each.id).slice(0, LOOK_MAX);
    const look = () => ask("/tienda/estado", { ids });
    let hello = await look();
    if ((hello.status === 401 || hello.status === 403) && hello.said && hello.said.error) {
      return { contact: "signin", wait_s: 0, said: sentence(hello.said) };
    }
    if (!isHello(hello)) return { contact: "away", wait_s: hello.wait_s };
    const known = await note(hello.said.orders);
    let last = { contact: "reached", wait_s: 0 };
    for (const entry of waiting) {
      if (entry.state === "faulty") continue;
      if (entry.shop !== hello.said.shop) {
        await mark(entry, { state: "other" });
        continue;
      }
      if (!(await hold())) return last;
      const send = () =>
        ask("/tienda/enviar", entry.order, { "Tambo-Token": hello.said.token, "Tambo-Shop": entry.shop });
      let answer = await send();
      if (judge(entry.id, answer) === "stale") {
        hello = await look();
        if (!isHello(hello)) return { contact: "away", wait_s: 0 };
        answer = await send();
      }
      const verdict = judge(entry.id, answer);
      if (verdict === "done") await settle(entry, answer.said.receipt);
      else if (verdict === "faulty") {
        const there = known.get(entry.id);
        await mark(entry, { state: "faulty", said: sentence(answer.said), known: Boolean(there) });
      } else if (verdict === "other") await mark(entry, { state: "other" });
      else if (verdict === "signin") return { contact: "signin", wait_s: 0, said: sentence(answer.said) };
      else if (answer.status === 0) return { contact: "away", wait_s: 0 };
      else {
        await mark(entry, { state: "again" }); // the others go on
        last = { contact: "reached", wait_s: Math.max(last.wait_s, answer.wait_s, 1) };
      }
    }
    return last;
  }

  /* Send what waits; safe to call at any time and from anywhere. */
  async function flush(isAsked) {
    const result = await alone((hold) => pass(hold, isAsked));
    if (result) tell(result);
    return result || { contact: "busy", wait_s: 0 };
  }

  return { discard, flush, get, judge, list, listeners, put, set, unset, uuid, wipe };
})();
