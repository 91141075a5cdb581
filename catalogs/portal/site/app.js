// The page as a whole: its head, its one panel of views, and the map beside it.

import { paths, settings as fetchSettings } from "./api.js";
import { Account } from "./account.js";
import { fill, h, icon } from "./dom.js";
import { LANGUAGES, counted, speak, spoken, t, wanted } from "./i18n.js";
import { Basket } from "./orders/basket.js";
import * as router from "./router.js";

const MAP_WAITS_MS = 1500;
const VIEWS = {
  search: () => import("./search/view.js"),
  item: () => import("./item/view.js"),
  compare: () => import("./compare.js"),
  basket: () => import("./orders/checkout.js"),
  orders: () => import("./orders/list.js"),
  order: () => import("./orders/list.js"),
  desk: () => import("./officers/desk.js"),
  decision: () => import("./officers/desk.js"),
  report: () => import("./officers/report.js"),
  account: () => import("./signing.js"),
};

/** Everything that views share. */
class Page {
  constructor(settings) {
    Object.assign(this, { settings, held: null, basket: new Basket(), account: new Account(), kept: {} });
    this.head = h("header", { class: "head" });
    this.panel = h("main", { class: "panel", id: "panel", tabindex: "-1" });
    this.canvas = h("div", { class: "map-canvas" });
    this.stage = h("section", { class: "stage" }, this.canvas);
    this.body = h("div", { class: "body" }, this.panel, this.stage);
    this.status = h("p", { class: "unseen", role: "status" });
    this.skip = h("a", { class: "skip", href: "#panel", on: { click: (event) => this.skipTo(event) } });
    document.body.replaceChildren(this.skip, this.head, this.body, this.status);
    this.basket.changed = () => this.renewHead();
    this.account.changed = () => this.renewHead();
    this.mapReady = new Promise((resolve) => { this.mapBegins = resolve; }).then(() => this.makeMap());
  }

  async makeMap() {
    try {
      const { makeMap } = await import("./map/map.js");
      this.held = await makeMap(this.canvas, this.settings);
      if (!this.held) fill(this.canvas, h("p", { class: "notice" }, t("map.none")));
    } catch {
      fill(this.canvas, h("p", { class: "notice" }, t("map.failed")));
    }
    if (this.held) document.documentElement.dataset.map = "ready";
    return this.held;
  }

  skipTo(event) {
    event.preventDefault();
    this.panel.focus();
  }

  /** Say something to those who hear the page. */
  say(words) {
    this.status.textContent = words;
  }

  renewHead() {
    const at = router.here().name;
    const current = (names) => (names.includes(at) ? { "aria-current": "page" } : {});
    const count = this.basket.items.length;
    const languages = h("select", { "aria-label": t("head.language"), on: { change: (event) => this.relearn(event.target.value) } },
      Object.entries(LANGUAGES).map(([code, words]) => h("option", { value: code, selected: code === spoken(), lang: code }, words)));
    fill(this.head,
      h("a", { class: "brand", href: "/" }, h("img", { src: new URL("icon.svg", import.meta.url).href, alt: "", width: 30, height: 30 }),
        h("span", {}, this.settings.title)),
      h("nav", { class: "nav", "aria-label": t("head.nav") },
        h("a", { href: this.kept.address ?? "/", ...current(["search", "item", "compare"]) }, icon("map"), h("span", {}, t("head.search"))),
        h("a", { href: "/my-orders", ...current(["orders", "order"]) }, icon("list"), h("span", {}, t("head.orders"))),
        h("a", { href: "/basket", ...current(["basket"]) }, icon("basket"), h("span", {}, t("head.basket")),
          count ? [h("b", { class: "count", "aria-hidden": "true" }, count), h("i", { class: "unseen" }, ` ${counted("results.count", count)}`)] : null),
        this.account.who?.officer ? h("a", { href: "/desk", ...current(["desk", "decision", "report"]) }, icon("check"), h("span", {}, t("head.desk"))) : null,
        h("a", { href: "/account", ...current(["account"]) }, icon("person"),
          h("span", {}, this.account.signedIn ? this.account.name : t("head.sign_in")))),
      languages);
  }

  async relearn(code) {
    await speak(code, { keep: true });
    this.kept = {};
    this.held?.renew();
    this.skip.textContent = t("head.skip");
    await this.arrive(router.here(), { stay: true });
    this.head.querySelector("select").focus();
  }

  /** Show the view of an address. */
  async arrive(place, { stay = false } = {}) {
    const turn = (this.turn = Symbol("turn"));
    this.gone?.abort();
    this.gone = new AbortController();
    const { show } = await VIEWS[place.name]();
    if (turn !== this.turn) return;
    this.left?.();
    this.left = null;
    this.body.dataset.view = place.name;
    const view = await show(this, place, this.gone.signal);
    if (turn !== this.turn) return;
    this.left = view.leave;
    fill(this.panel, view.element);
    document.title = view.title ? `${view.title} · ${this.settings.title}` : this.settings.title;
    this.renewHead();
    this.held?.resize();
    if (this.arrived && !stay) {
      this.panel.scrollTop = view.scroll ?? 0;
      this.panel.focus({ preventScroll: true });
      this.say(document.title);
    }
    this.arrived = true;
    view.shown?.();
    // Words come first: drawing the map takes all of a slow machine for a while.
    await Promise.race([view.settled, new Promise((resolve) => { setTimeout(resolve, MAP_WAITS_MS); })]);
    this.mapBegins();
  }

  /** An item's own page. */
  open(item) {
    router.go(paths.page(item));
  }
}

async function start() {
  const settings = await fetchSettings();
  try {
    await speak(wanted(settings.language));
  } catch {
    document.body.append(h("p", { class: "noscript" }, "The page could not be loaded whole. Load it again."));
    return;
  }
  const page = new Page(settings);
  page.skip.textContent = t("head.skip");
  page.renewHead();
  page.account.learn();
  router.start((place) => page.arrive(place));
}

start();
