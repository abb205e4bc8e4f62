/* A photo looked at closely: pinched, wheeled, dragged or by keys; a tap in marking puts a ring, which both sides see. */
"use strict";
(() => {
  const { root } = Call;
  const dialog = root.querySelector("[data-zoom]");
  if (!dialog) return;
  const SIDE_PX = 1280;
  const SCALE_MAX = 8;
  const STEP = 1.4;
  const MOVE_PX = 60;
  const TAP_PX = 8; // a finger that moved less has tapped
  const RING = 0.06; // of the photo's width
  const view = dialog.querySelector("[data-view]");
  const sheet = dialog.querySelector("[data-sheet]");
  const image = sheet.querySelector("img");
  const rings = sheet.querySelector("svg");
  const under = Call.make("canvas"); // the small one, until the larger one is there
  const marking = dialog.querySelector("[data-action=mark]");
  const pointers = new Map();

  let looked = null;
  let at = { x: 0, y: 0, scale: 1 };
  let moved = 0;

  function look(photo) {
    looked = photo;
    [under.width, under.height] = [photo.small.naturalWidth || 1, photo.small.naturalHeight || 1];
    under.getContext("2d").drawImage(photo.small, 0, 0);
    image.src = `${photo.url}?lado=${SIDE_PX}`;
    image.alt = photo.alt;
    dialog.querySelector("h2").textContent = photo.alt;
    mark(false);
    place(0, 0, 1);
    if (!dialog.open) dialog.showModal();
    draw();
  }

  function place(x, y, scale) {
    const bounded = Math.min(SCALE_MAX, Math.max(1, scale));
    const [wide, high] = [(view.clientWidth * bounded) / 2, (view.clientHeight * bounded) / 2];
    at = { x: Math.min(wide, Math.max(-wide, x)), y: Math.min(high, Math.max(-high, y)), scale: bounded };
    if (bounded === 1) at.x = at.y = 0;
    sheet.style.transform = `translate(${at.x}px, ${at.y}px) scale(${at.scale})`;
  }

  // Zooms so that what is under the point stays there.
  function zoom(factor, clientX, clientY) {
    const box = view.getBoundingClientRect();
    const [x, y] = [(clientX ?? box.x + box.width / 2) - box.x - box.width / 2, (clientY ?? box.y + box.height / 2) - box.y - box.height / 2];
    const scale = Math.min(SCALE_MAX, Math.max(1, at.scale * factor));
    const grown = scale / at.scale;
    place(x - (x - at.x) * grown, y - (y - at.y) * grown, scale);
  }

  // Rings

  function draw() {
    if (!looked || !image.naturalWidth) return;
    const { naturalWidth: wide, naturalHeight: high } = image;
    rings.setAttribute("viewBox", `0 0 ${wide} ${high}`);
    const marks = [...Call.entries.values()].filter((each) => each.kind === "mark" && each.fields.photo === looked.entry.id);
    rings.replaceChildren(...marks.map(({ fields, by }) => ring(fields.x * wide, fields.y * high, fields.radius * wide, by)));
  }

  function ring(x, y, radius, by) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [name, value] of Object.entries({ cx: x, cy: y, r: radius, class: by })) made.setAttribute(name, value);
    return made;
  }

  function put(clientX, clientY) {
    const { naturalWidth: wide, naturalHeight: high } = image;
    const box = image.getBoundingClientRect(); // the photo stands in its middle, as large as fits
    const fits = Math.min(box.width / wide, box.height / high);
    const x = 0.5 + (clientX - box.x - box.width / 2) / (wide * fits);
    const y = 0.5 + (clientY - box.y - box.height / 2) / (high * fits);
    if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1)) return;
    const round = (share) => Math.round(share * 1e4) / 1e4;
    const said = dialog.querySelector("output");
    const radius = round(RING / Math.sqrt(at.scale));
    Call.write("mark", { photo: looked.entry.id, x: round(x), y: round(y), radius }, (now, why) => {
      said.textContent = { sending: Call.words.sending, kept: "", refused: `${Call.words.refused} ${why}` }[now];
    });
  }

  function mark(on) {
    marking.setAttribute("aria-pressed", on);
    view.classList.toggle("marking", on);
  }

  const isMarking = () => marking.getAttribute("aria-pressed") === "true";

  // Fingers, mouse, keys

  function down(event) {
    view.setPointerCapture(event.pointerId);
    if (!pointers.size) moved = 0;
    pointers.set(event.pointerId, event);
    if (pointers.size > 1) moved = TAP_PX;
  }

  function move(event) {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const others = [...pointers.values()].filter((each) => each.pointerId !== event.pointerId);
    moved += Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY);
    if (others.length) {
      const far = (from) => Math.hypot(from.clientX - others[0].clientX, from.clientY - others[0].clientY) || 1;
      zoom(far(event) / far(before), (event.clientX + others[0].clientX) / 2, (event.clientY + others[0].clientY) / 2);
    } else if (moved >= TAP_PX) place(at.x + event.clientX - before.clientX, at.y + event.clientY - before.clientY, at.scale);
    pointers.set(event.pointerId, event);
  }

  function up(event) {
    const tapped = pointers.delete(event.pointerId) && event.type === "pointerup" && moved < TAP_PX;
    if (tapped && isMarking()) put(event.clientX, event.clientY);
  }

  function middle() {
    const box = view.getBoundingClientRect();
    put(box.x + box.width / 2, box.y + box.height / 2);
  }

  sheet.prepend(under);
  const KEYS = {
    "+": () => zoom(STEP),
    "-": () => zoom(1 / STEP),
    ArrowLeft: () => place(at.x + MOVE_PX, at.y, at.scale),
    ArrowRight: () => place(at.x - MOVE_PX, at.y, at.scale),
    ArrowUp: () => place(at.x, at.y + MOVE_PX, at.scale),
    ArrowDown: () => place(at.x, at.y - MOVE_PX, at.scale),
    Enter: () => isMarking() && middle(),
  };

  view.addEventListener("keydown", (event) => {
    if (!KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? STEP : 1 / STEP, event.clientX, event.clientY);
  });
  view.addEventListener("pointerdown", down);
  view.addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, up);
  image.addEventListener("load", draw);
  const acts = {
    mark: () => mark(!isMarking()),
    nearer: () => zoom(STEP),
    farther: () => zoom(1 / STEP),
    whole: () => (image.src = looked.url),
    close: () => dialog.close(),
  };
  for (const [action, act] of Object.entries(acts)) dialog.querySelector(`[data-action=${action}]`).addEventListener("click", act);
  dialog.addEventListener("close", () => {
    image.removeAttribute("src");
    under.width = 1; // nothing of it stays
    looked = null;
  });
  Call.on("look", look);
  Call.on("written", (entry) => entry.kind === "mark" && draw());
  Call.on("locked", () => dialog.open && dialog.close());
})();
