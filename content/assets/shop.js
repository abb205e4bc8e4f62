/* What waits in this phone is in sight on each page of the shop; an order is kept here before it is sent.

   Without this script the pages work as they are. What cannot be made here (no articles yet, a price that is another
   one, a fault in a field) goes to the box as the form it is. */
"use strict";
const Shop = (() => {
  const LOOK_MS = 2_000;
  const PAUSE_S_MIN = 3;
  const PAUSE_S_MAX = 60;
  const UNSETTLED_S = 15; // between two looks at what became of an order
  const RENEW_MS = 600_000; // between two looks at whether the articles are still the same
  const AFTER_LOAD_MS = 1_500; // the articles never compete with the page itself
  const RECEIPT_MS = 8_000; // how long a page waits for it before it goes on
  const WAITS = "espera=1"; // tells the box, when somebody signs out, that orders wait here
  const SHOWN_MAX = 8;
  const NEEDS_HAND = new Set(["faulty", "other"]);
  const away = document.documentElement.dataset.away !== undefined || document.querySelector("main[data-away]");
  let phone = null;
  let contact = "idle";
  let pause_s = PAUSE_S_MIN;
  let next_ms = 0;
  let warned = false;
  let waiting = 0;

  const say = (key, values) =>
    (phone ? phone.texts[key] || key : "").replace(/%(?:\((\w+)\)s|%)/g, (_, name) => (name ? values[name] : "%"));

  function el(name, fields, ...inside) {
    const made = Object.assign(document.createElement(name), fields);
    made.append(...inside);
    return made;
  }

  function money(minor) {
    const shown = new Intl.NumberFormat(phone.locale, { style: "currency", currency: phone.currency });
    return shown.format(Number(minor) / 10 ** phone.decimals);
  }

  /* A typed quantity as the market writes it; "" for none, null when it is not one. As the box reads it. */
  function quantity(text) {
    const bare = text.replace(/\s+/g, "");
    if (!/^[0-9]{0,7}([.,][0-9]{0,3})?$/.test(bare) || bare === "." || bare === ",") return null;
    const [whole, part = ""] = bare.replace(",", ".").split(".");
    const digits = whole.replace(/^0+(?=.)/, "") || "0";
    const rest = part.replace(/0+$/, "");
    return digits === "0" && !rest ? "" : rest ? `${digits}.${rest}` : digits;
  }

  function priceMinor(text) {
    const bare = text.replace(/\s+/g, "").toUpperCase().replace(/^S\//, "").replace(/^\./, "");
    if (!/^[0-9]{1,7}([.,][0-9]{0,2})?$/.test(bare)) return null;
    return Math.floor(Number(bare.replace(",", ".")) * 10 ** phone.decimals + 0.5);
  }

  const scaled = (decimal, places) => {
    const [whole, part = ""] = decimal.split(".");
    return BigInt(whole + part.padEnd(places, "0"));
  };
  const lineMinor = (amount, price) => (scaled(amount, 3) * BigInt(price) + 500n) / 1000n;

  /* Taxes per tax and rate over all lines, rounded half up, as the box computes them. */
  function taxes(lines) {
    const sums = new Map();
    for (const { sku, quantity: amount, unit_price_minor: price } of lines) {
      const { tax } = phone.bySku.get(sku) || {};
      if (!tax) continue;
      const key = JSON.stringify([tax.name, tax.rate]);
      sums.set(key, (sums.get(key) || 0n) + lineMinor(amount, price));
    }
    const found = [...sums].map(([key, minor]) => {
      const [name, rate] = JSON.parse(key);
      const part = scaled(rate, 4);
      const whole = phone.prices_include_tax ? 1_000_000n + part : 1_000_000n;
      return { name, rate, amount_minor: Number((2n * minor * part + whole) / (2n * whole)) };
    });
    const byName = (one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : one.rate - other.rate);
    return found.sort(byName);
  }

  function total(lines) {
    const owed = taxes(lines);
    const added = phone.prices_include_tax ? 0n : owed.reduce((sum, each) => sum + BigInt(each.amount_minor), 0n);
    const sum = lines.reduce((all, each) => all + lineMinor(each.quantity, each.unit_price_minor), added);
    return { lines: lines.length, minor: Number(sum), taxes: owed };
  }

  const clean = (text) => (text || "").trim().split(/\s+/).join(" ");
  const numbers = (fields, part) =>
    Object.keys(fields)
      .filter((name) => new RegExp(`^${part}-[0-9]{1,3}$`).test(name))
      .map((name) => Number(name.slice(part.length + 1)))
      .sort((one, other) => one - other);

  /* The lines of a form's fields, its faults by field, and whether the form shows what this phone does not know. */
  function linesOf(fields) {
    const [lines, faults] = [[], {}];
    let isStale = false;
    for (const number of numbers(fields, "sku")) {
      const amount = quantity(fields[`quantity-${number}`] || "");
      const article = phone.bySku.get(fields[`sku-${number}`]);
      if (amount === null) faults[`quantity-${number}`] = "fault_quantity";
      if (!amount) continue;
      const seen = fields[`seen-${number}`];
      if (!article || (seen && Number(seen) !== article.unit_price_minor)) isStale = true;
      else lines.push({ sku: article.sku, name: article.name, quantity: amount, unit: article.unit, unit_price_minor: article.unit_price_minor });
    }
    for (const number of numbers(fields, "name")) {
      const [name, written, unit, price] = ["name", "quantity", "unit", "price"].map((part) => clean(fields[`${part}-${number}`]));
      if (!(name || written || price)) continue;
      const [amount, minor] = [quantity(written), priceMinor(price)];
      if (!name) faults[`name-${number}`] = "fault_line_name";
      if (!amount) faults[`quantity-${number}`] = amount === null ? "fault_quantity" : "fault_line_quantity";
      if (minor === null) faults[`price-${number}`] = "fault_price";
      lines.push({ sku: "-", name, quantity: amount, unit: unit || "und", unit_price_minor: minor });
    }
    return { lines, faults, isStale };
  }

  /* The order that a form asks for, as a program would hand it in; without faults it can be kept. */
  function orderOf(fields) {
    const { lines, faults, isStale } = linesOf(fields);
    const [buyer, typed] = [clean(fields.buyer_name), clean(fields.buyer_phone)];
    const digits = typed.replace(/[\s().\-\u2010-\u2015]+/g, " ").trim();
    const method = fields.payment || "cash-on-delivery";
    const reference = method === "mobile-money" ? clean(fields.reference) : "";
    if (!Object.keys(faults).length && !lines.length) faults.lines = "fault_lines";
    if (!buyer) faults.buyer_name = "fault_buyer_name";
    if (!/^\+?[0-9]([ -]?[0-9]){5,14}$/.test(digits)) faults.buyer_phone = "fault_buyer_phone";
    if (method === "mobile-money" && !reference) faults.reference = "fault_reference";
    if (isStale || Object.keys(faults).length) return { order: null, faults };
    const order = {
      id: fields.id,
      currency: phone.currency,
      buyer: { name: buyer, phone: digits, address: (fields.address || "").trim() },
      lines,
      note: (fields.note || "").trim(),
      payment: { method, reference },
      taxes: taxes(lines),
      prices_include_tax: phone.prices_include_tax,
      catalogue_version: lines.some((each) => each.sku !== "-") ? phone.version : "",
      priority: fields.urgent === "yes" ? "urgent" : "normal",
      made_at: new Date().toISOString(),
    };
    return { order, faults };
  }

  /* Keep an order on this phone, then try to send it. Raises when the phone cannot keep it. */
  async function keep(order, former) {
    const { minor } = total(order.lines);
    const entry = { id: order.id, order, shop: phone.shop, at: Date.now(), total_minor: minor, currency: order.currency };
    await Outbox.put({ ...entry, state: "here", said: "" }, former);
    hurry();
    if (navigator.storage && navigator.storage.persist) navigator.storage.persist().catch(() => {});
    if (navigator.serviceWorker && "SyncManager" in window) {
      const worker = await navigator.serviceWorker.getRegistration("/tienda");
      if (worker) worker.sync.register("outbox").catch(() => {});
    }
  }

  /* Wait for what becomes of an order that was just kept: its receipt, or that it waits. */
  async function outcome(id) {
    const until = Date.now() + RECEIPT_MS;
    while (Date.now() < until) {
      const { contact: now } = await Outbox.flush().catch(() => ({ contact: "away" }));
      if ((await Outbox.list("sent")).some((each) => each.id === id)) return "done";
      if (now !== "busy") return "waits";
      await new Promise((resolve) => setTimeout(resolve, 200)); // another page sends
    }
    return "waits";
  }

  const bar = el("section", { className: "notice", id: "outbox", hidden: true });
  const headline = el("p", {});
  const details = el("div", { className: "form" });
  headline.setAttribute("role", "status");
  bar.append(headline, details);

  function button(text, act, tone) {
    return el("button", { type: "button", className: `button ${tone || "quiet"}`, textContent: text, onclick: act });
  }

  /* A second press is needed, on a button that was not there before. */
  function discarding(id) {
    const first = button(say("discard"), () => {
      const second = button(say("sure"), () => Outbox.discard(id), "stop");
      first.replaceWith(second);
      second.focus();
    });
    return first;
  }

  async function correct(entry) {
    const { order } = entry;
    const fields = { id: entry.known ? Outbox.uuid() : order.id, former: entry.id };
    order.lines.forEach((line, place) => {
      if (line.sku !== "-") Object.assign(fields, { [`sku-${place}`]: line.sku, [`quantity-${place}`]: line.quantity });
      else {
        const price = (line.unit_price_minor / 10 ** phone.decimals).toFixed(phone.decimals);
        Object.assign(fields, { [`name-${place}`]: line.name, [`quantity-${place}`]: line.quantity, [`unit-${place}`]: line.unit, [`price-${place}`]: price });
      }
    });
    const { buyer, payment } = order;
    Object.assign(fields, { buyer_name: buyer.name, buyer_phone: buyer.phone, address: buyer.address, note: order.note });
    Object.assign(fields, { payment: payment.method, reference: payment.reference });
    if (order.priority === "urgent") fields.urgent = "yes";
    await Outbox.set("draft", fields);
    location.assign("/tienda/sin-caja");
  }

  function row(entry) {
    const time = new Date(entry.at).toLocaleString(phone.locale, { dateStyle: "short", timeStyle: "short" });
    const inside = el("span", { className: "grow" }, el("b", { textContent: `${time} · ${money(entry.total_minor)}` }));
    const isDone = "receipt" in entry;
    const badge = (tone, text) => inside.append(el("span", { className: `badge ${tone}`, textContent: text }));
    if (isDone) {
      const said = say("onbox", { receipt: entry.receipt });
      inside.append(el("span", { className: "small", textContent: said }));
      if (entry.name) badge(entry.tone, entry.name);
      const link = el("a", { href: `/tienda/pedidos/${entry.id}` }, inside);
      return el("li", {}, link);
    }
    const needs = NEEDS_HAND.has(entry.state);
    badge(needs ? "bad" : "care", say(needs ? entry.state : "here"));
    const words = { faulty: entry.said, other: say("elsewhere"), again: say("again") }[entry.state];
    if (words) inside.append(el("span", { className: "small", textContent: words }));
    const made = el("li", {}, el("div", { className: "row" }, inside));
    if (needs) {
      const acts = el("p", { className: "buttons again" });
      if (entry.state === "faulty") acts.append(button(say("correct"), () => correct(entry)));
      if (entry.known) acts.append(el("a", { className: "button quiet", href: `/tienda/pedidos/${entry.id}`, textContent: say("known") }));
      acts.append(discarding(entry.id));
      made.append(acts);
    }
    return made;
  }

  function advice() {
    if (contact === "signin") {
      const link = el("a", { href: `/entrar?sigue=${away ? "/tienda" : location.pathname}`, textContent: say("enter") });
      return el("p", {}, `${say("signin")} `, link);
    }
    return el("p", { textContent: say(contact === "away" ? "away" : "never") });
  }

  let shown = "";
  async function show() {
    const orders = await Outbox.list("orders");
    const sent = (await Outbox.list("sent")).filter((each) => !location.pathname.includes(each.id)); // its own page tells
    waiting = orders.length;
    document.cookie = `${WAITS}; path=/; samesite=strict; max-age=${orders.length ? 34_560_000 : 0}`;
    if (!phone || !(orders.length || sent.length)) return void (bar.hidden = true);
    const now = JSON.stringify([orders, sent, contact]);
    if (now === shown && !bar.hidden) return; // a button that was pressed once stays as it is
    shown = now;
    const arrived = sent.filter((each) => each.settled).length;
    const kept = orders.length === 1 ? say("one") : say("many", { count: orders.length });
    const said = orders.length ? kept : say("sent", { count: sent.length, arrived });
    const list = el("ul", { className: "rows" });
    list.append(...[...orders.reverse(), ...sent.reverse().slice(0, SHOWN_MAX)].map(row));
    const isOpen = Boolean(details.querySelector("details[open]"));
    const box = el("details", { open: orders.length > 0 || isOpen });
    box.append(el("summary", { textContent: said }), list);
    const focused = bar.contains(document.activeElement) && document.activeElement.textContent;
    if (headline.textContent !== said) headline.textContent = said;
    headline.className = "away";
    bar.className = `notice ${orders.length ? "care" : "good"}`;
    details.textContent = "";
    details.append(box);
    if (orders.some((each) => !NEEDS_HAND.has(each.state))) {
      details.append(advice());
      if (!(navigator.serviceWorker && navigator.serviceWorker.controller)) details.append(el("p", { textContent: say("open") }));
      details.append(el("p", { className: "buttons" }, button(say("send"), () => hurry(true))));
    }
    bar.hidden = false;
    const again = focused && [...bar.querySelectorAll("button, a, summary")].find((each) => each.textContent === focused);
    if (again) again.focus();
  }

  function alarm(text) {
    shown = "";
    bar.hidden = false;
    bar.className = "notice bad";
    headline.className = "";
    headline.textContent = text;
    bar.scrollIntoView({ block: "nearest" });
  }

  /* Try at once; whatever asks for it resets the pause between tries. */
  function hurry() {
    pause_s = PAUSE_S_MIN;
    next_ms = 0;
    return look();
  }

  async function look() {
    if (Date.now() < next_ms || document.hidden) return;
    next_ms = Date.now() + pause_s * 1_000;
    const { contact: now, wait_s } = await Outbox.flush(Boolean(away)).catch(() => ({ contact: "away", wait_s: 0 }));
    const isCalm = now === "reached" && !wait_s;
    pause_s = isCalm ? UNSETTLED_S : Math.min(pause_s * 2, PAUSE_S_MAX) * (0.75 + Math.random() / 2);
    next_ms = Date.now() + Math.max(pause_s, wait_s) * 1_000;
  }

  function take(found) {
    phone = found && { ...found, bySku: new Map(found.articles.map((each) => [each.sku, each])) };
  }

  /* Have the articles and words as the box has them now; what is here already is used until then. */
  async function renew() {
    const before = await Outbox.get("phone");
    if (before && before.lang === document.documentElement.lang && Date.now() - before.asked_ms < RENEW_MS) return;
    const headers = { Accept: "application/json", ...(before ? { "If-None-Match": before.etag } : {}) };
    const answer = await fetch("/tienda/telefono.json", { headers, credentials: "same-origin" }).catch(() => null);
    if (!answer || !(answer.ok || answer.status === 304)) return;
    const lang = document.documentElement.lang;
    if (answer.status === 304) return void (await Outbox.set("phone", { ...before, lang, asked_ms: Date.now() }));
    const found = await answer.json();
    const kept = { ...found, lang, etag: answer.headers.get("ETag"), got_ms: Date.now(), asked_ms: Date.now() };
    await Outbox.set("phone", kept);
    take(kept);
    if (navigator.serviceWorker && navigator.serviceWorker.controller) navigator.serviceWorker.controller.postMessage("renew");
    await show();
  }

  function sendAsItIs(form) {
    form.append(el("input", { type: "hidden", name: "do", value: "record" }));
    form.submit();
  }

  function emptied(form) {
    form.elements.id.value = Outbox.uuid();
    for (const each of form.querySelectorAll("input, textarea, select")) {
      if (each.type === "checkbox") each.checked = false;
      else if (each.type !== "hidden" && each.type !== "radio") each.value = "";
    }
    for (const each of form.querySelectorAll('input[name="payment"]')) each.checked = each.value === "cash-on-delivery";
  }

  async function record(form, order) {
    try {
      await keep(order);
    } catch (_) {
      sendAsItIs(form); // the phone cannot keep it; the box may
      return;
    }
    if ((await outcome(order.id)) === "done") return void location.assign(`/tienda/pedidos/${order.id}`);
    emptied(form);
    await show();
    bar.scrollIntoView({ block: "start" });
  }

  function watchForm(form) {
    let isWorking = false;
    form.addEventListener("submit", (event) => {
      const pressed = event.submitter || document.activeElement;
      if (!phone || !pressed || pressed.value !== "record" || form.elements.revision) return;
      if (isWorking) return void event.preventDefault();
      const { order } = orderOf(Object.fromEntries(new FormData(form)));
      if (!order) return; // the box says what is wrong, beside each field
      event.preventDefault();
      isWorking = true;
      form.setAttribute("aria-busy", "true");
      record(form, order).finally(() => {
        isWorking = false;
        form.removeAttribute("aria-busy");
      });
    });
  }

  /* Nobody signs out over what waits without being told. Without https the browser wipes nothing: it is done here. */
  function watchLeaving(form) {
    form.addEventListener("submit", (event) => {
      if (waiting && !warned) {
        event.preventDefault();
        warned = true;
        alarm(say("leaving"));
      } else if (!waiting && !isSecureContext) {
        event.preventDefault();
        Outbox.wipe().then(() => form.submit(), () => form.submit());
      }
    });
  }

  async function start() {
    const main = document.getElementById("main");
    const before = main.querySelector(".shopnav");
    if (before) before.after(bar);
    else main.prepend(bar);
    const form = main.querySelector('form[action="/tienda"]:not([data-away])');
    const leaving = document.querySelector('form[action="/salir"]');
    if (form) watchForm(form);
    if (leaving) watchLeaving(leaving);
    Outbox.listeners.push((news) => {
      if (news.contact && !["idle", "busy"].includes(news.contact)) contact = news.contact;
      show().catch(() => {});
    });
    take(await Outbox.get("phone"));
    if (!away && (await Outbox.get("draft"))) return void location.replace("/tienda/sin-caja");
    await show();
    hurry();
    setInterval(look, LOOK_MS);
    for (const name of ["online", "pageshow"]) addEventListener(name, hurry);
    document.addEventListener("visibilitychange", hurry);
    const later = () => setTimeout(() => renew().catch(() => {}), AFTER_LOAD_MS);
    if (document.readyState === "complete") later();
    else addEventListener("load", later);
    if (navigator.serviceWorker) navigator.serviceWorker.register("/tienda/sw.js", { scope: "/tienda" }).catch(() => {});
  }

  const started = "indexedDB" in self ? start().catch(() => {}) : Promise.resolve();
  return { alarm, el, hurry, keep, linesOf, money, orderOf, outcome, say, show, started, total, get phone() { return phone; } };
})();
