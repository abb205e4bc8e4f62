/* The order form on a phone that does not reach the box: looks for articles, fills the basket, keeps the order here.

   The fields have the names they have on the box's own form, so one rule makes the order of either. */
"use strict";
(() => {
  const ROWS = 10; // as the box shows
  const OWN_LINES = 5;
  const OWN_FROM = 501; // beside articles, whose rows have the numbers below; as on the box
  const OWN_PARTS = ["name", "quantity", "unit", "price"];
  const PLAIN = ["id", "former", "buyer_name", "buyer_phone", "address", "note", "reference"];
  const WORDS_MAX = 8;
  const KEPT = "pedido"; // what is typed, in this tab alone
  const { el, say, money } = Shop;
  const find = (id) => document.getElementById(id);
  const form = find("away");
  const basket = new Map(); // SKU to what was typed
  let index = [];
  let shown = ROWS;

  /* As texts are compared on the box: no case, no accents (UAX #15). */
  const fold = (text) => text.normalize("NFKD").toUpperCase().toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
  const words = (text) => fold(text).match(/[\p{L}\p{N}]+/gu) || [];

  function weigh(article) {
    const [name, sku] = [words(article.name), words(article.sku)];
    const weights = new Map(words(article.category || "").map((word) => [word, 2]));
    for (const word of sku.length ? [...sku, sku.join("")] : []) weights.set(word, 4);
    for (const word of name) weights.set(word, 6);
    if (name.length) weights.set(name[0], 8);
    return { article, weights: [...weights] };
  }

  /* What has words that begin with all the typed ones, best first: the name before the SKU, that before the category. */
  function search(typed, category) {
    const asked = [...new Set(words(typed.slice(0, 100)))].slice(0, WORDS_MAX);
    const found = [];
    for (const each of index) {
      if (category && each.article.category !== category) continue;
      let sum = 0;
      for (const word of asked) {
        let best = 0;
        for (const [own, weight] of each.weights) {
          if (own.startsWith(word)) best = Math.max(best, own === word ? weight + 3 : weight);
        }
        sum = best && sum >= 0 ? sum + best : -1;
      }
      if (sum >= 0 && (asked.length || !typed.trim())) found.push({ sum, article: each.article });
    }
    return found.sort((one, other) => other.sum - one.sum).map((each) => each.article);
  }

  function described(article, id) {
    const label = el("label", { htmlFor: id }, el("b", { textContent: article.name }), el("br"));
    const soft = el("span", { className: "soft", textContent: say("price", { price: money(article.unit_price_minor), unit: article.unit }) });
    label.append(soft);
    const left = Number(article.stock);
    if (article.stock && left <= 0) soft.append(el("br"), say("out"));
    else if (article.stock) soft.append(` · ${say("left", { count: new Intl.NumberFormat(Shop.phone.locale).format(left) })}`);
    return label;
  }

  function pick(article, fields) {
    const made = el("li", { className: article.picture ? "pick pic" : "pick" });
    if (article.picture) made.append(el("img", { loading: "lazy", className: "thumb", width: 48, height: 48, alt: "", src: article.picture }));
    const field = el("input", { inputMode: "decimal", autocomplete: "off", placeholder: article.unit, value: basket.get(article.sku) || "", ...fields });
    made.append(described(article, fields.id), field);
    return made;
  }

  function put(sku, typed) {
    if (typed.trim()) basket.set(sku, typed);
    else basket.delete(sku);
  }

  function showShelf() {
    const found = search(find("search").value, find("category").value);
    const list = find("shelf");
    list.textContent = "";
    found.slice(0, shown).forEach((article, place) => {
      const made = pick(article, { id: `shelf-${place}` });
      made.querySelector("input").onchange = (event) => {
        put(article.sku, event.target.value);
        showBasket();
      };
      list.append(made);
    });
    find("nothing").hidden = found.length > 0;
    find("more").hidden = found.length <= shown;
  }

  function showBasket() {
    const list = find("rows");
    for (const each of list.querySelectorAll(".pick")) each.remove();
    [...basket].reverse().forEach(([sku], place) => {
      const article = Shop.phone.bySku.get(sku);
      const made = pick(article, { id: `quantity-${place}`, name: `quantity-${place}` });
      made.append(el("input", { type: "hidden", name: `sku-${place}`, value: sku }));
      made.querySelector("input").oninput = (event) => {
        basket.set(sku, event.target.value); // an emptied field stays until the list is shown anew
        addUp();
      };
      made.querySelector("input").onchange = (event) => {
        put(sku, event.target.value);
        showShelf();
      };
      list.prepend(made);
    });
    find("empty").hidden = list.children.length > 0;
    addUp();
  }

  const typed = () => Object.fromEntries(new FormData(form));

  function addUp() {
    const { lines } = Shop.linesOf(typed());
    const sum = Shop.total(lines.filter((each) => each.quantity && each.unit_price_minor !== null));
    find("total").textContent = money(sum.minor);
    find("taxes").textContent = "";
    for (const { name, rate, amount_minor } of sum.taxes) {
      const key = Shop.phone.prices_include_tax ? "tax_in" : "tax_on";
      find("taxes").append(el("p", { textContent: say(key, { name, rate, amount: money(amount_minor) }) }));
    }
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(typed()));
    } catch (_) {
      // only a reload would have needed it
    }
  }

  function addOwn(number) {
    const made = find("own").content.firstElementChild.cloneNode(true);
    for (const field of made.querySelectorAll("input")) {
      field.id = field.name = `${field.dataset.part}-${number}`;
      field.previousElementSibling.htmlFor = field.id;
      field.oninput = addUp;
    }
    made.setAttribute("aria-label", String(number));
    find("rows").append(made);
  }

  function blank() {
    basket.clear();
    form.reset();
    form.elements.id.value = Outbox.uuid();
    form.elements.former.value = "";
    find("rows").textContent = "";
    if (!Shop.phone.articles.length) for (let number = OWN_FROM; number < OWN_FROM + OWN_LINES; number += 1) addOwn(number);
  }

  /* Take up what was typed before: here, on a form that did not reach the box, or in an order that needs a hand. */
  function fill(fields) {
    blank();
    const gone = [];
    let own = OWN_FROM;
    for (const [name, value] of Object.entries(fields)) {
      const [, part, number] = name.match(/^(sku|name)-([0-9]{1,3})$/) || [];
      if (part === "sku" && fields[`quantity-${number}`]) {
        if (Shop.phone.bySku.has(value)) basket.set(value, fields[`quantity-${number}`]);
        else gone.push(value);
      } else if (part === "name" && (value || fields[`price-${number}`])) {
        if (!form.elements[`name-${own}`]) addOwn(own);
        for (const each of OWN_PARTS) form.elements[`${each}-${own}`].value = fields[`${each}-${number}`] || "";
        own += 1;
      }
    }
    for (const name of PLAIN) if (fields[name]) form.elements[name].value = fields[name];
    form.elements.urgent.checked = fields.urgent === "yes";
    for (const each of form.elements.payment) each.checked = each.value === (fields.payment || "cash-on-delivery");
    find("search").value = fields.search || "";
    find("category").value = fields.category || "";
    if (gone.length) tell(`${say("gone")} ${gone.join(", ")}`, "care");
  }

  function tell(text, tone) {
    const told = find("told");
    told.className = `notice ${tone}`;
    told.firstElementChild.textContent = text;
    told.hidden = false;
    told.focus();
  }

  function showFaults(faults) {
    for (const each of form.querySelectorAll(".fault[data-made]")) each.remove();
    for (const each of form.querySelectorAll("[aria-invalid]")) {
      each.removeAttribute("aria-invalid");
      each.removeAttribute("aria-describedby");
    }
    find("lines-fault").hidden = !faults.lines;
    find("lines-fault").textContent = faults.lines ? say(faults.lines) : "";
    for (const [name, key] of Object.entries(faults)) {
      const field = form.elements[name];
      if (!field) continue;
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", `${name}-fault`);
      const told = el("span", { className: "fault", id: `${name}-fault`, textContent: say(key) });
      told.dataset.made = "";
      field.parentElement.append(told);
    }
    const first = form.querySelector("[aria-invalid]") || find("lines-fault");
    if (Object.keys(faults).length) first.scrollIntoView({ block: "center" });
    first.focus();
  }

  async function record() {
    const fields = typed();
    const { order, faults } = Shop.orderOf(fields);
    showFaults(faults);
    if (!order) return;
    try {
      await Shop.keep(order, fields.former);
    } catch (_) {
      Shop.alarm(say("full"));
      return;
    }
    blank();
    addUp();
    sessionStorage.removeItem(KEPT);
    if ((await Shop.outcome(order.id)) === "done") return void location.assign(`/tienda/pedidos/${order.id}`);
    showBasket();
    showShelf();
    await Shop.show();
    find("outbox").scrollIntoView({ block: "start" });
  }

  async function lastTyped() {
    const draft = await Outbox.get("draft");
    if (draft) await Outbox.unset("draft");
    return draft || JSON.parse(sessionStorage.getItem(KEPT) || "null");
  }

  async function start() {
    await Shop.started;
    Outbox.listeners.push(({ contact }) => {
      if (contact === "busy" || contact === undefined) return;
      find("cut").hidden = contact !== "away";
      find("back").hidden = contact === "away";
    });
    Shop.hurry();
    if (!Shop.phone) return void (find("bare").hidden = false);
    index = Shop.phone.articles.map(weigh);
    const names = [...new Set(Shop.phone.articles.map((each) => each.category).filter(Boolean))];
    for (const name of names.sort((one, other) => one.localeCompare(other, Shop.phone.locale))) {
      find("category").append(el("option", { value: name, textContent: name }));
    }
    find("offer").hidden = !index.length;
    const when = new Date(Shop.phone.asked_ms).toLocaleString(Shop.phone.locale, { dateStyle: "medium", timeStyle: "short" });
    find("age").textContent = say("as_of", { when });
    const draft = await lastTyped();
    form.hidden = false;
    if (draft) fill(draft);
    else blank();
    showBasket();
    showShelf();
    find("search").oninput = find("category").onchange = () => {
      shown = ROWS;
      showShelf();
    };
    find("search").addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
    find("more").onclick = () => {
      shown += ROWS;
      showShelf();
    };
    form.addEventListener("input", addUp);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      find("record").disabled = true;
      record().finally(() => (find("record").disabled = false));
    });
  }

  start().catch(() => Shop.alarm(say("full")));
})();
