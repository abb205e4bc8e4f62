/* The visit's record beside the call: what is written here is sent again until the box has it on disk.

   Every entry has an id made here, so that what is sent twice is kept once. Until then it stands in this page's memory,
   and the page says so; whoever closes it meanwhile is asked. */
"use strict";
(() => {
  const { root, words } = Call;
  const panel = root.querySelector("[data-record]");
  if (!panel) return;
  const WINDOW = 4; // entries on their way at once: a socket takes few messages a second
  const entries = new Map(); // by id, as the box has them
  const pending = new Map(); // by id: not yet there
  const vitals = new Map([...panel.querySelectorAll("[data-vital]")].map((each) => [each.dataset.vital, each]));
  const lists = { vitals: "measured", prescription: "decided", "follow-up": "decided", summary: "decided", answer: "decided" };
  const part = (name) => panel.querySelector(`[data-list=${name}]`);

  Call.write = write;
  Call.entries = entries;
  Call.head = head;

  // Sending

  function write(kind, fields, told) {
    const id = Call.uuid();
    const message = { type: "entry", id, kind, at: Date.now() / 1000, fields };
    pending.set(id, { message, told, sent: false, refused: "" });
    told("sending", "");
    flush();
    return id;
  }

  function flush() {
    let underway = 0;
    for (const each of pending.values()) {
      if (each.refused) continue;
      if (++underway > WINDOW || !Call.wanted) return;
      if (!each.sent) each.sent = Boolean(Call.send(each.message));
    }
  }

  // From where on the box shall tell: whatever is missing in between comes again.
  function known() {
    const there = new Set([...entries.values()].map((each) => each.sequence));
    let last = 0;
    while (there.has(last + 1)) last++;
    return last;
  }

  function greet() {
    if (!Call.wanted || !Call.isOpen()) return;
    for (const each of pending.values()) each.sent = false;
    Call.send({ type: "entries", after: known() });
    flush();
  }

  function kept({ id, sequence }) {
    const each = pending.get(id);
    if (each) learn({ ...each.message, sequence, by: Call.role });
  }

  function refused({ id, message }) {
    const each = pending.get(id);
    if (!each) return;
    each.refused = message;
    each.told("refused", message);
    flush();
  }

  function again(id) {
    const each = pending.get(id);
    Object.assign(each, { refused: "", sent: false });
    each.told("sending", "");
    flush();
  }

  function learn(entry) {
    const own = pending.get(entry.id);
    pending.delete(entry.id);
    if (own) own.told("kept", "");
    if (!entries.has(entry.id)) {
      entries.set(entry.id, entry);
      draw(entry);
      Call.tell("written", entry);
    }
    flush();
  }

  // Showing

  function clock(at) {
    return new Date(at * 1000).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
  }

  function head({ by, at }) {
    return Call.make("span", { className: "soft small", textContent: `${words[by] || by} · ${clock(at)}` });
  }

  function draw(entry) {
    if (entry.kind === "chat") return drawChat(entry);
    const list = lists[entry.kind] && part(lists[entry.kind]);
    if (list) list.prepend(Call.make("li", {}, head(entry), ...lines(entry).map((text) => Call.make("p", { textContent: text }))));
    if (list && entry.by !== Call.role) mention(list);
  }

  function lines({ kind, fields }) {
    if (kind === "vitals") {
      const name = (each) => (vitals.has(each.code) ? vitals.get(each.code).dataset.name : each.code);
      return [fields.values.map((each) => `${name(each)} ${each.value} ${each.unit}`).join(" · ")];
    }
    if (kind === "prescription") return fields.medicines.map(medicine);
    if (kind === "follow-up") return [`${words.comeAgain} ${fields.date}. ${fields.text || ""}`];
    return [fields.text];
  }

  const medicine = (each) => [each.name, each.dose, each.days && Call.fill(words.days, { days: each.days })].filter(Boolean).join(" · ");

  function bubble(entry) {
    const text = Call.make("p", { textContent: entry.fields.text });
    const item = Call.make("li", { className: entry.by === Call.role ? "mine" : "" }, head(entry), text);
    item.dataset.id = entry.id;
    return item;
  }

  function drawChat(entry) {
    const list = part("chat");
    const before = list.querySelector(`[data-id="${entry.id}"]`);
    if (before) return;
    list.append(bubble(entry));
    list.scrollTop = list.scrollHeight;
    if (entry.by !== Call.role) mention(list);
  }

  // What came into a part that is shut is counted on it.
  function mention(list) {
    const about = list.closest("details");
    const badge = about.querySelector("[data-count]");
    if (about.open || !badge) return;
    badge.textContent = Number(badge.textContent) + 1;
    badge.hidden = false;
  }

  // Chat

  function chat(form) {
    const text = form.elements.text.value.trim();
    if (!text) return;
    const item = bubble({ id: "", by: Call.role, at: Date.now() / 1000, fields: { text } });
    const state = Call.make("span", { className: "small" });
    item.append(state);
    const id = write("chat", { text }, (now, why) => {
      state.textContent = { sending: words.sending, kept: words.kept, refused: `${words.refused} ${why}` }[now];
      item.classList.toggle("refused", now === "refused");
      if (now === "refused") offer(item, state);
    });
    item.dataset.id = id;
    part("chat").append(item);
    part("chat").scrollTop = part("chat").scrollHeight;
    form.reset();
  }

  function offer(item, state) {
    const { id } = item.dataset;
    const buttons = [
      [words.again, () => again(id)],
      [words.remove, () => pending.delete(id) && item.remove()],
    ];
    for (const [textContent, onclick] of buttons) {
      state.append(" ", Call.make("button", { type: "button", className: "link", textContent, onclick }));
    }
  }

  // Forms

  function measured(input) {
    const { validity, min, max, dataset } = input;
    const value = Number(input.value);
    const wrong = validity.badInput || validity.rangeUnderflow || validity.rangeOverflow || validity.stepMismatch;
    const odd = !wrong && input.value && dataset.low && (value < dataset.low || value > dataset.high);
    const unit = dataset.unit;
    const fault = input.closest(".field").querySelector("[data-fault]");
    fault.className = wrong ? "fault" : "hint";
    fault.textContent = wrong
      ? Call.fill(words.range, { min, max, unit })
      : odd
        ? Call.fill(words.unusual, { low: dataset.low, high: dataset.high, unit })
        : "";
    input.setAttribute("aria-invalid", wrong);
    return !wrong;
  }

  function readVitals(form) {
    const inputs = [...form.querySelectorAll("[data-vital]")];
    const wrong = inputs.filter((each) => !measured(each));
    if (wrong.length) return wrong[0].focus();
    const values = inputs.filter((each) => each.value).map(({ dataset, value }) => ({ code: dataset.vital, value: String(Number(value)), unit: dataset.unit }));
    const of = (code) => Number((values.find((each) => each.code === code) || {}).value);
    if (of("systolic") <= of("diastolic")) return say(form, words.pressure);
    return values.length ? { values } : say(form, words.nothing);
  }

  function readPrescription(form) {
    const medicines = [...form.querySelectorAll("[data-medicine]")]
      .map((row) => {
        const of = (name) => row.querySelector(`[name=${name}]`).value.trim();
        return { name: of("name"), dose: of("dose"), ...(of("days") && { days: Number(of("days")) }) };
      })
      .filter((each) => each.name);
    if (!medicines.length) return say(form, words.nothing);
    return { doctor: form.elements.doctor.value.trim(), licence: form.elements.licence.value.trim(), medicines };
  }

  const plain = (form) => Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
  const READ = { vitals: readVitals, prescription: readPrescription, "follow-up": plain, summary: plain };

  function say(form, text) {
    form.querySelector("output").textContent = text;
  }

  function submit(event) {
    const form = event.target;
    event.preventDefault();
    const kind = form.dataset.entry;
    if (kind === "chat") return chat(form);
    if (!READ[kind] || (kind !== "vitals" && !form.reportValidity())) return;
    const fields = READ[kind](form);
    if (!fields) return;
    const typed = JSON.stringify([...new FormData(form)]);
    write(kind, fields, (now, why) => {
      say(form, { sending: words.sending, kept: words.kept, refused: `${words.refused} ${why}` }[now]);
      if (now !== "kept" || kind === "summary" || JSON.stringify([...new FormData(form)]) !== typed) return;
      form.reset();
      form.querySelectorAll("[data-vital]").forEach(measured);
    });
  }

  panel.addEventListener("submit", submit);
  panel.addEventListener("focusout", (event) => event.target.matches("[data-vital]") && measured(event.target));
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || !event.target.matches("[data-entry=chat] textarea")) return;
    event.preventDefault();
    event.target.form.requestSubmit();
  });
  panel.addEventListener("click", (event) => {
    if (!event.target.matches("[data-action=medicine]")) return;
    const rows = panel.querySelectorAll("[data-medicine]");
    if (rows.length >= 20) return; // as many as a prescription holds
    const row = rows[0].cloneNode(true);
    for (const each of row.querySelectorAll("input")) each.value = "";
    rows[rows.length - 1].after(row);
    row.querySelector("input").focus();
  });
  for (const each of panel.querySelectorAll("details")) {
    each.addEventListener("toggle", () => {
      const badge = each.querySelector("[data-count]");
      if (badge && each.open) Object.assign(badge, { hidden: true, textContent: "" });
    });
  }
  Call.on("open", greet);
  Call.on("joined", greet);
  Call.on("entry", learn);
  Call.on("kept", kept);
  Call.on("refused", refused);
  window.addEventListener("beforeunload", (event) => pending.size && event.preventDefault());
})();
