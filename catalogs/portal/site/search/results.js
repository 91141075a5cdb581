// What was found: cards beside footprints, each pointing at the other.

import { ask, layersOf, local, paths } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { boxOfItem } from "../geometry.js";
import { counted, minute, number, t, titleOf } from "../i18n.js";
import * as router from "../router.js";
import { ORDERS } from "../state.js";

export class Results {
  constructor(page, { more, order, again }) {
    Object.assign(this, { page, items: [], cards: new Map(), pair: [], pictured: new Set(), again });
    this.order = h("select", { id: "order", on: { change: (event) => order(event.target.value) } },
      ORDERS.map((one) => h("option", { value: one }, t(`order.${one}`))));
    this.title = h("h2", {}, t("results.looking"));
    this.list = h("ol", { class: "cards" });
    this.notice = h("div", { class: "notices" });
    this.further = h("button", { type: "button", class: "plain wide", hidden: true, on: { click: () => { this.further.disabled = true; more(); } } }, t("results.more"));
    this.tray = h("div", { class: "tray", hidden: true });
    this.element = h("section", { class: "results", "aria-busy": "true" },
      h("div", { class: "results-head" }, this.title, h("label", { class: "unseen", for: "order" }, t("order.title")), this.order),
      this.notice, this.list, this.further, this.tray);
  }

  waiting() {
    this.element.setAttribute("aria-busy", "true");
    fill(this.notice);
  }

  found(items, { matched, more, order, further, empty }) {
    const known = further ? this.items.length : 0;
    this.items = items;
    this.order.value = order;
    this.element.setAttribute("aria-busy", "false");
    if (!further) {
      this.cards.clear();
      fill(this.list);
    }
    const made = items.slice(known).map((item) => this.card(item));
    this.list.append(...made);
    this.further.hidden = !more;
    this.further.disabled = false;
    this.total = matched;
    this.head();
    fill(this.notice, items.length ? null : empty ? welcome() : nothing());
    if (further) made[0]?.querySelector("a").focus();
  }

  matched(total) {
    this.total = total;
    this.head();
  }

  head() {
    const [shown, all] = [this.items.length, this.total];
    this.title.textContent = all === undefined || all === shown || shown > all
      ? counted("results.count", shown) : t("results.of", { shown: number(shown), all: counted("results.count", all) });
  }

  /** Nothing is in the catalogue at all. */
  nothingCatalogued() {
    if (!this.items.length) fill(this.notice, welcome());
  }

  failed(error) {
    this.element.setAttribute("aria-busy", "false");
    this.title.textContent = t("results.none");
    this.further.disabled = false;
    fill(this.notice, h("div", { class: "notice bad" }, h("p", {}, error.words),
      h("button", { type: "button", class: "plain", on: { click: this.again } }, t("error.again"))));
  }

  card(item) {
    const { properties } = item;
    const title = titleOf(properties, item.id);
    const cloud = properties["eo:cloud_cover"];
    const facts = [
      properties.gsd ? t("card.gsd", { metres: number(properties.gsd, { maximumFractionDigits: 2 }) }) : null,
      cloud === undefined ? t("card.no_cloud") : t("card.cloud", { percent: number(cloud, { maximumFractionDigits: 0 }) }),
    ];
    const thumbnail = item.assets?.thumbnail?.href;
    const picture = h("div", { class: "thumb" }, thumbnail ? h("img", { src: local(thumbnail), alt: "", loading: "lazy", decoding: "async",
      on: { error: (event) => event.target.replaceWith(icon("image")) } }) : icon("image"));
    const toggle = (name, drawing, act, label) => h("button", { type: "button", class: "chip", "data-act": name, "aria-pressed": "false",
      "aria-label": `${t(label)}: ${minute(properties.datetime)}`, on: { click: act } }, icon(drawing), h("span", {}, t(label)));
    const buttons = {
      map: toggle("map", "map", () => this.picture(item), "card.on_map"),
      compare: toggle("compare", "swipe", () => this.compare(item), "card.compare"),
    };
    const card = h("li", { class: "card", on: {
      mouseenter: () => this.hover(item.key), mouseleave: () => this.hover(undefined),
      focusin: () => this.hover(item.key), focusout: () => this.hover(undefined),
    } }, picture,
      h("div", { class: "card-text" },
        h("h3", {}, h("a", { href: paths.page(item) }, minute(properties.datetime))),
        h("p", { class: "card-title" }, title),
        h("p", { class: "facts" }, facts.filter(Boolean).map((one) => h("span", {}, one))),
        h("div", { class: "chips" }, buttons.map, buttons.compare)));
    this.cards.set(item.key, { card, buttons, item });
    return card;
  }

  hover(key, { scroll = false } = {}) {
    for (const [other, { card }] of this.cards) card.classList.toggle("hover", other === key);
    this.page.held?.mark("hover", key && this.cards.has(key) ? [key] : []);
    if (scroll && key) this.cards.get(key)?.card.scrollIntoView({ block: "nearest" });
  }

  /** Footprints were pressed on the map: the next of them after the one that was chosen last. */
  choose(keys) {
    const place = keys.indexOf(this.chosen);
    this.chosen = keys.length ? keys[(place + 1) % keys.length] : undefined;
    this.mark();
    const found = this.cards.get(this.chosen);
    if (!found) return;
    found.card.scrollIntoView({ block: "nearest" });
    found.card.querySelector("a").focus({ preventScroll: true });
    this.page.say(found.card.querySelector("a").textContent);
  }

  mark() {
    if (this.chosen && !this.cards.has(this.chosen)) this.chosen = undefined;
    for (const [key, { card, buttons }] of this.cards) {
      card.classList.toggle("chosen", key === this.chosen);
      buttons.map.setAttribute("aria-pressed", String(this.pictured.has(key)));
      buttons.compare.setAttribute("aria-pressed", String(this.pair.some((one) => one.key === key)));
    }
    this.page.held?.mark("chosen", this.chosen ? [this.chosen] : []);
    this.page.held?.mark("pictured", [...this.pictured]);
  }

  /** Lay an item's picture on the map, or take it off. */
  async picture(item, { move = true } = {}) {
    const held = await this.page.mapReady;
    if (!held) return;
    if (this.pictured.delete(item.key)) held.unpicture(item.key);
    else {
      this.pictured.add(item.key);
      try {
        await lay(held, item);
        if (move) held.show(boxOfItem(item));
      } catch (error) {
        this.pictured.delete(item.key);
        this.page.say(error.words ?? t("card.no_picture"));
        this.cards.get(item.key)?.buttons.map.setAttribute("disabled", "");
      }
    }
    this.mark();
  }

  /** The pictures again, after another view had the map. */
  async repicture() {
    const keys = [...this.pictured];
    this.pictured.clear();
    for (const key of keys) if (this.cards.has(key)) await this.picture(this.cards.get(key).item, { move: false });
  }

  compare(item) {
    const at = this.pair.findIndex((one) => one.key === item.key);
    if (at >= 0) this.pair.splice(at, 1);
    else this.pair = [...this.pair, item].slice(-2);
    this.mark();
    this.tray.hidden = !this.pair.length;
    fill(this.tray, h("p", {}, this.pair.map((one) => h("span", {}, minute(one.properties.datetime)))),
      this.pair.length === 2
        ? h("button", { type: "button", class: "main", on: { click: () => router.go(comparePath(...this.pair)) } }, icon("swipe"), t("card.swipe"))
        : h("p", { class: "hint" }, t("card.one_more")));
  }
}

/** The address of two items side by side, the earlier on the left. */
export function comparePath(a, b) {
  const [first, second] = [a, b].sort((one, other) => (one.properties.datetime < other.properties.datetime ? -1 : 1));
  return `/compare?${new URLSearchParams({ a: `${first.collection}/${first.id}`, b: `${second.collection}/${second.id}` })}`;
}

/** Put the first layer of an item on the map. */
export async function lay(held, item) {
  const { layers } = await layersOf(item, item);
  held.picture(item.key, await ask(local(layers[0].tilejson)));
}

const welcome = () => h("div", { class: "notice empty" }, icon("image"), h("h3", {}, t("empty.title")), h("p", {}, t("empty.words")));
const nothing = () => h("div", { class: "notice" }, h("p", {}, t("results.nothing")), h("p", { class: "hint" }, t("results.nothing_hint")));
