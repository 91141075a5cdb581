// My orders, and one of them: where it stands, why, and its files once it is ready.

import { local } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { area, bytes, counted, known, minute, t } from "../i18n.js";
import { asked, pleaseSignIn } from "../signing.js";
import { money } from "./checkout.js";
import { showGround } from "./ground.js";
import { Subscriptions } from "./subscriptions.js";

const MOVING = new Set(["received", "accepted", "in_progress"]);
const OPEN = new Set(["received", "accepted", "held", "failed"]);
const LOOK_AGAIN_MS = 4000;

export async function show(page, place, signal) {
  const view = place.name === "order" ? new One(page, place.parts[0], signal) : new All(page, signal);
  return { element: view.element, title: view.title, shown: () => view.load() };
}

export const stateOf = (state) => h("span", { class: "state", "data-state": state }, known(`state.${state}`, state));

/** The steps of an order; with `nameOf`, by whom each was made. */
export const historyOf = (steps, nameOf = null) => h("ol", { class: "history" }, steps.map((step) => h("li", {}, stateOf(step.state),
  h("span", {}, known(`reason.${step.reason}`, step.reason), nameOf ? h("span", { class: "hint" }, ` ${nameOf(step.by)}`) : null,
    step.note ? h("span", { class: "words" }, ` ${step.note}`) : null),
  h("time", { datetime: step.time }, minute(step.time)))));

class All {
  constructor(page, signal) {
    Object.assign(this, { page, signal, title: t("orders.title") });
    this.body = h("div", {}, h("p", { class: "hint" }, t("orders.asking")));
    this.subscriptions = new Subscriptions(page, signal);
    this.subscriptions.element.hidden = true;
    this.element = h("article", { class: "item narrow" }, h("h1", {}, t("orders.title")), this.body, this.subscriptions.element);
  }

  async load() {
    await this.page.account.learn();
    if (this.signal.aborted) return;
    if (!this.page.account.signedIn) {
      fill(this.body, pleaseSignIn("/my-orders"));
      return;
    }
    const found = await asked(this.body, "/orders", { signal: this.signal }, "/my-orders");
    if (!found) return;
    fill(this.body, found.orders.length ? h("ul", { class: "orders" }, found.orders.map(line))
      : h("div", { class: "notice empty" }, icon("list"), h("p", {}, t("orders.empty")), h("a", { class: "button", href: "/" }, t("head.search"))));
    this.subscriptions.element.hidden = false;
    await this.subscriptions.load();
  }
}

const line = (order) => h("li", {}, h("div", {}, h("a", { href: `/my-orders/${encodeURIComponent(order.id)}` }, minute(order.created)),
  h("span", { class: "hint" }, `${counted("orders.items", order.items.length)} · ${money(order.price.amount, order.price.currency)}`)), stateOf(order.state));

class One {
  constructor(page, id, signal) {
    Object.assign(this, { page, id, signal, title: t("orders.single") });
    this.body = h("div", { class: "parts" }, h("p", { class: "hint" }, t("orders.asking")));
    this.element = h("article", { class: "item narrow" }, h("a", { class: "back", href: "/my-orders" }, icon("back"), t("orders.title")),
      h("h1", {}, t("orders.single")), this.body);
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  get path() {
    return `/orders/${encodeURIComponent(this.id)}`;
  }

  async load() {
    const order = await asked(this.body, this.path, { signal: this.signal }, `/my-orders/${encodeURIComponent(this.id)}`);
    if (!order || this.signal.aborted) return;
    // What nobody has to decide moves by itself: look again, and tell when it did.
    if (this.state && this.state !== order.state) this.page.say(known(`state.${order.state}`, order.state));
    if (this.state !== order.state) this.show(order);
    if (!this.state) showGround(this.page, order.items, this.signal);
    this.state = order.state;
    if (MOVING.has(order.state)) this.timer = setTimeout(() => this.load(), LOOK_AGAIN_MS);
  }

  show(order) {
    const files = (order.links ?? []).filter((one) => one.rel === "enclosure" || one.rel === "delivery");
    const cancel = h("button", { type: "button", class: "plain", on: { click: () => this.cancel(cancel) } }, t("orders.cancel"));
    fill(this.body,
      h("p", { class: "standing" }, stateOf(order.state), h("span", {}, known(`standing.${order.state}`, ""))),
      order.until ? h("p", { class: "notice" }, t("orders.until", { until: minute(order.until) })) : null,
      order.expires ? h("p", { class: "hint" }, t("orders.expires", { until: minute(order.expires) })) : null,
      files.length ? h("section", {}, h("h2", {}, t("orders.files")), h("p", { class: "hint" }, t("orders.links_end")), h("ul", { class: "files" }, files.map(file))) : null,
      h("section", {}, h("h2", {}, counted("orders.items", order.items.length)), h("ul", { class: "plain-list" }, order.items.map((one) => h("li", {},
        h("a", { href: `/item/${encodeURIComponent(one.collection)}/${encodeURIComponent(one.id)}` }, one.id), one.km2 === undefined ? null : h("span", { class: "hint" }, ` ${area(one.km2)}`))))),
      h("dl", { class: "total" }, h("dt", {}, t("basket.price")), h("dd", { class: "sum" }, money(order.price.amount, order.price.currency))),
      h("section", {}, h("h2", {}, t("orders.history")), historyOf(order.history ?? [])),
      OPEN.has(order.state) ? cancel : null,
      h("p", { class: "hint" }, t("orders.number"), " ", h("code", {}, order.id)));
  }

  async cancel(button) {
    button.disabled = true;
    const order = await asked(this.body, this.path, { method: "DELETE", signal: this.signal }, "/my-orders");
    if (!order) return;
    clearTimeout(this.timer);
    this.state = order.state;
    this.show(order);
    this.page.panel.focus();
    this.page.say(known(`state.${order.state}`, order.state));
  }
}

const file = (one) => h("li", { class: "file" }, h("div", {}, h("b", {}, one.title ?? one.href), h("span", { class: "hint" }, bytes(one.length))),
  h("a", { class: "chip", href: local(one.href), download: true, "aria-label": `${t("files.download")}: ${one.title ?? one.href}` }, icon("download"), h("span", {}, t("files.download"))));
