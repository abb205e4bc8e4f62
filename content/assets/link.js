// The link's page: draws its past, and goes on with what the box tells each second while the page is seen.
// Figures come as texts in the reader's language; only what the curves themselves say is written here.
(() => {
  "use strict";
  const root = document.querySelector("[data-link]");
  const strings = document.querySelector("script[data-strings]");
  if (!root || !strings) return;
  const words = JSON.parse(strings.textContent);
  const language = root.dataset.locale;
  const find = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const SVG = "http://www.w3.org/2000/svg";
  const CLASSES = ["realtime", "interactive", "web", "bulk"];
  // of a row: its number, seconds seen, seconds down, four classes down, four up, and then
  const [SLOT, SEEN, CUT, USE, CAPACITY, DELAY, LOSS] = [0, 1, 2, 3, 11, 13, 17];
  const LEFT = 62; // for the numbers at the side
  const RIGHT = 8;
  const TOP = 8;
  const BOTTOM = 20; // for the time below
  const COLUMN_PX = 2;
  const COME_BACK_MS = 10000;
  const CHANGING_MS = { day: 60000, month: 300000 };

  let span = root.dataset.span;
  let past = null; // { span, cell_s, count, last, ended_s } and rows by number
  let rows = new Map();
  let columns = [];
  let chosen = -1; // -1: the newest
  let pausedUntil = 0;
  let source = null;
  let again, refresh, asked = 0;

  // Numbers

  const number = (value, digits = 1) =>
    new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
  const rate = (bps) => (bps >= 999500 ? `${number(bps / 1e6)} Mbit/s` : `${number(bps / 1e3, 0)} kbit/s`);
  const delay = (ms) => (ms >= 1000 ? `${number(ms / 1000)} s` : `${number(ms, ms < 10 ? 1 : 0)} ms`);

  function clock(seconds) {
    // the end of the span, less so many seconds
    if (past.ended_s === null) {
      const minutes = Math.round(seconds / 60);
      if (!minutes) return words.now;
      if (minutes < 120) return `−${minutes} min`;
      return minutes < 2880 ? `−${Math.round(minutes / 60)} h` : `−${Math.round(minutes / 1440)} d`;
    }
    const at = new Date((past.ended_s - seconds) * 1000);
    const form = past.span === "month" ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    return new Intl.DateTimeFormat(language, form).format(at);
  }

  function round(top) {
    // the next of 1, 2, 5 times a power of ten
    const power = 10 ** Math.floor(Math.log10(top));
    return [1, 2, 5, 10].find((each) => each * power >= top) * power;
  }

  // Rows become columns of two pixels

  function gather(width) {
    const count = Math.max(Math.min(past.count, Math.floor(width / COLUMN_PX)), 2);
    const first = past.last - past.count + 1;
    const made = Array.from({ length: count }, () => []);
    for (const row of rows.values()) {
      const at = Math.floor(((row[SLOT] - first) * count) / past.count);
      if (at >= 0 && at < count) made[at].push(row);
    }
    return made.map(merge);
  }

  function merge(found) {
    if (!found.length) return null;
    const seen = found.reduce((sum, row) => sum + row[SEEN], 0) || 1;
    const column = found[0].slice();
    for (let at = USE; at < CAPACITY; at += 1)
      column[at] = found.reduce((sum, row) => sum + row[at] * (row[SEEN] || 1), 0) / seen;
    column[SEEN] = seen;
    column[CUT] = found.reduce((sum, row) => sum + row[CUT], 0) / seen;
    for (let at = CAPACITY; at < LOSS + 2; at += 1) {
      const known = found.map((row) => row[at]).filter((each) => each !== null);
      const worst = at === DELAY + 1 || at === DELAY + 3;
      const sum = known.reduce((one, other) => one + other, 0);
      column[at] = known.length ? (worst ? Math.max(...known) : sum / known.length) : null;
    }
    return column;
  }

  // Pieces of a drawing

  function put(parent, name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  function patterns(svg) {
    // so that no class is told by its colour alone
    const drawn = {
      realtime: "",
      interactive: "M0 8 8 0M-2 2 2-2M6 10 10 6",
      web: "M0 4h8",
      bulk: "M2 2h.1M6 6h.1",
      cut: "M0 0 8 8M-2 6 2 10M6-2 10 2",
    };
    const defs = put(svg, "defs", {});
    for (const name in drawn) {
      const id = `p-${name}`;
      if (document.getElementById(id)) continue;
      const pattern = put(defs, "pattern", { id, width: 8, height: 8, patternUnits: "userSpaceOnUse" });
      const line = put(pattern, "path", { d: drawn[name], class: name === "cut" ? "cutmark" : "pattern" });
      if (name === "bulk") line.setAttribute("stroke-linecap", "round");
      if (name === "bulk") line.setAttribute("stroke-width", "2.4");
    }
  }

  function runs(known) {
    // stretches of columns that follow each other
    const found = [];
    let run = null;
    columns.forEach((column, at) => {
      if (column !== null && known(column)) {
        if (!run) found.push((run = []));
        run.push(at);
      } else run = null;
    });
    return found;
  }

  const point = (x, y) => `${x.toFixed(1)} ${y.toFixed(1)}`;

  function line(x, y, value) {
    const parts = runs((column) => value(column) !== null).map((run) => {
      const points = run.map((at) => point(x(at), y(value(columns[at]))));
      return run.length > 1 ? `M${points.join("L")}` : `M${points[0]}h${COLUMN_PX}`;
    });
    return parts.join("");
  }

  function area(x, y, low, high) {
    return runs(() => true)
      .map((run) => {
        const ends = run.length > 1 ? run : [run[0], run[0] + 0.9];
        const pick = (at) => columns[Math.floor(at)];
        const over = ends.map((at) => point(x(at), y(high(pick(at)))));
        const under = ends.map((at) => point(x(at), y(low(pick(at))))).reverse();
        return `M${over.join("L")}L${under.join("L")}Z`;
      })
      .join("");
  }

  function outages(svg, x, height) {
    const width = Math.max(x(1) - x(0), 1.5);
    const d = columns
      .map((column, at) => (column && column[CUT] > 0 ? `M${point(x(at) - width / 2, TOP)}h${width.toFixed(1)}V${height}h${(-width).toFixed(1)}Z` : ""))
      .join("");
    if (!d) return;
    put(svg, "path", { d, class: "cut" });
    put(svg, "path", { d, fill: "url(#p-cut)", "data-outages": "" });
  }

  function frame(name, marks, label) {
    // an empty drawing with its scales
    const svg = find(`[data-chart=${name}] > svg`);
    for (const each of [...svg.children]) if (!["title", "desc"].includes(each.tagName)) each.remove();
    const { width, height } = svg.getBoundingClientRect();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const right = width - RIGHT;
    const floor = height - BOTTOM;
    const x = (at) => LEFT + ((at + 0.5) * (right - LEFT)) / columns.length;
    patterns(svg);
    for (const [value, y] of marks(floor)) {
      put(svg, "path", { class: "grid", d: `M${LEFT} ${y.toFixed(1)}H${right.toFixed(1)}` });
      put(svg, "text", { x: LEFT - 6, y: (y + 4).toFixed(1), "text-anchor": "end" }, label(value));
    }
    const whole = past.count * past.cell_s;
    const steps = width < 500 ? 2 : 4;
    for (let step = 0; step <= steps; step += 1) {
      const anchor = step === 0 ? "start" : step === steps ? "end" : "middle";
      const at = LEFT + ((right - LEFT) * step) / steps;
      put(svg, "text", { x: at.toFixed(1), y: height - 4, "text-anchor": anchor }, clock(whole * (1 - step / steps)));
    }
    return { svg, x, floor };
  }

  // The four drawings

  function drawUse(name) {
    const from = name === "down" ? USE : USE + 4;
    const capacity = name === "down" ? CAPACITY : CAPACITY + 1;
    const sum = (column, upTo) => {
      let total = 0;
      for (let at = 0; at < upTo; at += 1) total += column[from + at];
      return total;
    };
    const seen = columns.filter(Boolean);
    const top = round(Math.max(8000, ...seen.map((each) => Math.max(sum(each, 4), each[capacity] || 0))));
    const y = (value) => TOP + (1 - value / top) * (drawing.floor - TOP);
    const marks = (floor) => [0, 0.5, 1].map((part) => [top * part, TOP + (1 - part) * (floor - TOP)]);
    const drawing = frame(name, marks, (value) => (value ? rate(value) : "0"));
    CLASSES.forEach((each, at) => {
      const d = area(drawing.x, y, (column) => sum(column, at), (column) => sum(column, at + 1));
      put(drawing.svg, "path", { d, class: `c-${each}`, "data-class": each });
      put(drawing.svg, "path", { d, fill: `url(#p-${each})` });
      put(drawing.svg, "path", { d: line(drawing.x, y, (column) => sum(column, at + 1)), class: "edge" });
    });
    put(drawing.svg, "path", { d: line(drawing.x, y, (column) => column[capacity]), class: "capacity", "data-capacity": "" });
    outages(drawing.svg, drawing.x, drawing.floor);
  }

  function drawDelay() {
    const [least, most] = [1, 10000]; // ms: what is less is no wait
    const part = (ms) => Math.log10(Math.min(Math.max(ms, least), most) / least) / Math.log10(most / least);
    const place = (ms, floor) => TOP + (1 - part(ms)) * (floor - TOP);
    const marks = (floor) => [1, 10, 100, 1000, 10000].map((ms) => [ms, place(ms, floor)]);
    const { svg, x, floor } = frame("delay", marks, delay);
    outages(svg, x, floor);
    for (const [way, from] of [["up", DELAY + 2], ["down", DELAY]])
      for (const [kind, at] of [["p50", from], ["p95", from + 1]]) {
        const d = line(x, (ms) => place(ms, floor), (column) => column[at]);
        put(svg, "path", { d, class: `delay ${kind} way-${way}`, "data-delay": `${way}-${kind}` });
      }
  }

  function drawLoss() {
    const top = round(Math.max(1, ...columns.filter(Boolean).map((each) => Math.max(each[LOSS] || 0, each[LOSS + 1] || 0))));
    const place = (value, floor) => TOP + (1 - value / top) * (floor - TOP);
    const marks = (floor) => [0, 1].map((part) => [top * part, place(top * part, floor)]);
    const { svg, x, floor } = frame("loss", marks, (value) => `${number(value)} %`);
    outages(svg, x, floor);
    [["up", LOSS + 1], ["down", LOSS]].forEach(([way, at]) => {
      const d = line(x, (value) => place(value, floor), (column) => column[at]);
      put(svg, "path", { d, class: `delay p95 way-${way}`, "data-loss": way });
    });
  }

  function draw() {
    if (!past || find("[data-drawn]").hidden) return;
    const width = find("[data-chart=down] > svg").getBoundingClientRect().width - LEFT - RIGHT;
    if (width < 20) return;
    columns = gather(width);
    drawUse("down");
    drawUse("up");
    drawDelay();
    drawLoss();
    const slider = find("#moment");
    slider.max = columns.length - 1;
    if (chosen < 0) slider.value = columns.length - 1;
    point_at(Number(slider.value));
  }

  // One moment in words

  function moment(at) {
    const whole = past.count * past.cell_s;
    const when = clock(whole * (1 - (at + 1) / columns.length));
    const column = columns[at];
    if (!column) return `${when}: ${words.unseen}`;
    const told = [];
    if (column[CUT] > 0) told.push(words.cut);
    const names = all(".legend li").map((each) => each.textContent.trim());
    [["down", USE, 0], ["up", USE + 4, 1]].forEach(([way, from, side]) => {
      const used = CLASSES.map((_, each) => [names[each], column[from + each]]).filter(([, bps]) => bps >= 500);
      const parts = used.map(([name, bps]) => `${name} ${rate(bps)}`);
      if (column[CAPACITY + side] !== null) parts.push(`${words.capacity} ${rate(column[CAPACITY + side])}`);
      if (column[DELAY + 2 * side + 1] !== null) parts.push(`${words.waits} ${delay(column[DELAY + 2 * side + 1])}`);
      if (column[LOSS + side]) parts.push(`${words.lost} ${number(column[LOSS + side])} %`);
      if (parts.length) told.push(`${words[way]}: ${parts.join(", ")}`);
    });
    return `${when} · ${told.join(" · ")}`;
  }

  function point_at(at) {
    const text = columns.length ? moment(at) : "";
    find("#readout").textContent = text;
    find("#moment").setAttribute("aria-valuetext", text);
    for (const svg of all(".chart > svg")) {
      const old = svg.querySelector(".cursor");
      if (old) old.remove();
      const { width, height } = svg.getBoundingClientRect();
      const x = LEFT + ((at + 0.5) * (width - RIGHT - LEFT)) / columns.length;
      if (chosen >= 0) put(svg, "path", { class: "cursor", d: `M${x.toFixed(1)} ${TOP}V${height - BOTTOM}` });
    }
  }

  function choose(at) {
    chosen = Math.min(Math.max(at, 0), columns.length - 1);
    find("#moment").value = chosen;
    if (chosen === columns.length - 1) chosen = -1;
    point_at(chosen < 0 ? columns.length - 1 : chosen);
  }

  // What the box tells

  function say(texts) {
    for (const name in texts)
      for (const each of all(`[data-fig="${CSS.escape(name)}"]`))
        if (each.textContent !== texts[name]) each.textContent = texts[name];
  }

  async function load() {
    const mine = (asked += 1);
    const wanted = span;
    try {
      const answer = await fetch(`/link/history.json?span=${wanted}`);
      if (!answer.ok) throw new Error(String(answer.status));
      const told = await answer.json();
      if (mine !== asked) return; // another span was asked for since
      past = told;
      rows = new Map(told.rows.map((row) => [row[SLOT], row]));
      say(told.words);
      find("[data-drawn]").hidden = false;
      draw();
    } catch {
      broken(true);
    }
    clearTimeout(refresh);
    if (CHANGING_MS[wanted] && !document.hidden) refresh = setTimeout(load, CHANGING_MS[wanted]);
  }

  function hear(message) {
    const told = JSON.parse(message.data);
    broken(false);
    find(".link").dataset.state = told.state;
    say(told.words);
    pausedUntil = told.paused_s ? performance.now() + told.paused_s * 1000 : 0;
    showPause();
    if (!past || past.span !== "hour" || !told.rows.length) return;
    const last = told.rows[told.rows.length - 1][SLOT];
    if (last < past.last - 2) return void load(); // the box has begun its history anew
    for (const row of told.rows) rows.set(row[SLOT], row);
    if (last > past.last) {
      if (past.ended_s !== null) past.ended_s += (last - past.last) * past.cell_s;
      past.last = last;
    }
    for (const slot of rows.keys()) if (slot <= past.last - past.count) rows.delete(slot);
    draw();
  }

  function broken(is) {
    find("[data-show=broken]").hidden = !is;
  }

  function listen() {
    if (source || document.hidden) return;
    source = new EventSource("/link/events");
    source.onmessage = hear;
    source.onerror = () => {
      broken(true);
      if (!source || source.readyState !== EventSource.CLOSED) return; // it comes back by itself
      leave();
      again = setTimeout(listen, COME_BACK_MS);
    };
  }

  function leave() {
    clearTimeout(again);
    if (source) source.close();
    source = null;
  }

  // The rest of background, which ends by itself

  function showPause() {
    const left = Math.max(Math.round((pausedUntil - performance.now()) / 1000), 0);
    find("[data-show=paused]").hidden = !left;
    find("[data-show=left]").textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    for (const button of all("[data-pause]")) button.hidden = (button.dataset.pause === "0") !== left > 0;
  }

  async function pause(event) {
    const button = event.currentTarget;
    button.disabled = true;
    find("[data-show=refused]").textContent = "";
    try {
      const body = JSON.stringify({ seconds: Number(button.dataset.pause) });
      const headers = { "Content-Type": "application/json" };
      const answer = await fetch("/link/pause", { method: "POST", headers, body });
      if (!answer.ok) throw new Error(String(answer.status));
      const { paused_s } = await answer.json();
      pausedUntil = paused_s ? performance.now() + paused_s * 1000 : 0;
      showPause();
      const next = all("[data-pause]").find((each) => !each.hidden);
      if (next) next.focus();
    } catch {
      find("[data-show=refused]").textContent = words.refused;
    }
    button.disabled = false;
  }

  // What the reader does

  for (const tab of all("[data-tab]"))
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      span = tab.dataset.tab;
      chosen = -1;
      for (const each of all("[data-tab]")) each.removeAttribute("aria-current");
      tab.setAttribute("aria-current", "true");
      find("[data-show=span]").textContent = tab.textContent;
      history.replaceState(null, "", tab.href);
      load();
    });
  for (const svg of all(".chart > svg"))
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const part = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
      if (columns.length) choose(Math.floor(part * columns.length));
    });
  find("#moment").addEventListener("input", (event) => choose(Number(event.target.value)));
  for (const button of all("[data-pause]")) button.addEventListener("click", pause);
  for (const each of all("[data-pattern]")) each.setAttribute("fill", `url(#p-${each.dataset.pattern})`);
  new ResizeObserver(() => draw()).observe(find("[data-drawn]"));
  document.addEventListener("visibilitychange", () => {
    leave();
    clearTimeout(refresh);
    if (document.hidden) return;
    load();
    listen();
  });

  const paused = Number(find("[data-show=paused]").dataset.pausedS);
  if (paused) pausedUntil = performance.now() + paused * 1000;
  showPause();
  load();
  listen();
})();
