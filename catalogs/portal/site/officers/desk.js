// The officers' desk: what waits for a decision, everybody's orders, and one of them with the buttons that decide.

import { Failure, ask } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { area, counted, known, minute, t } from "../i18n.js";
import { money } from "../orders/checkout.js";
import { showGround } from "../orders/ground.js";
import { historyOf, stateOf } from "../orders/list.js";
import { asked } from "../signing.js";

const GROUPS = {
  waiting: ["held"],
  working: ["received", "accepted", "in_progress"],
  given: ["ready", "delivered", "expired"],
  refused: ["rejected", "cancelled", "failed"],
};

const PAGE = 100;

export async function show(page, place, signal) {
  const view = place.parts.length ? new One(page, place.parts[0], signal) : new Desk(page, signal);
  return { element: view.element, title: view.title, shown: () => view.load() };
}

class Desk {
  constructor(page, signal) {
    Object.assign(this, { page, signal, title: t("desk.title"), group: page.kept.desk ?? "waiting" });
    this.groups = h("div", { class: "chips", role: "group", "aria-label": t("desk.groups") });
    this.list = h("div", { "aria-live": "polite" }, h("p", { class: "hint" }, t("orders.asking")));
    this.element = h("article", { class: "item narrow" }, h("h1", {}, this.title),
      h("p", {}, h("a", { href: "/report" }, t("report.title"))), this.groups, this.list);
  }

  async load() {
    this.shown = h("ul", { class: "orders" });
    this.more = h("button", { type: "button", class: "plain", on: { click: () => this.next() } }, t("results.more"));
    await this.next();
  }

  /** The next orders of the group: what waits longest comes first, of the others the newest. */
  async next() {
    const { group, shown } = this;
    const wanted = new URLSearchParams(GROUPS[group].map((state) => ["state", state]));
    wanted.set("limit", PAGE);
    wanted.set("offset", shown.children.length);
    wanted.set("oldest_first", group === "waiting");
    const found = await asked(this.list, `/officers/orders?${wanted}`, { signal: this.signal }, "/desk");
    // Somebody may have chosen another group meanwhile.
    if (!found || shown !== this.shown) return;
    this.drawGroups(found.counts);
    shown.append(...found.orders.map(line));
    const all = this.count(found.counts, group);
    fill(this.list, shown.children.length ? [shown, found.orders.length === PAGE && shown.children.length < all ? this.more : null]
      : h("div", { class: "notice empty" }, icon("check"), h("p", {}, t(group === "waiting" ? "desk.nothing_waits" : "orders.empty"))));
  }

  count(counts, group) {
    return GROUPS[group].reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  }

  drawGroups(counts) {
    fill(this.groups, Object.keys(GROUPS).map((group) => h("button", {
      type: "button", class: "chip", "aria-pressed": String(group === this.group), on: { click: () => this.choose(group) },
    }, t(`desk.group.${group}`), h("b", {}, this.count(counts, group)))));
  }

  async choose(group) {
    this.group = this.page.kept.desk = group;
    await this.load();
    this.groups.querySelector("[aria-pressed=true]")?.focus();
  }
}

const line = (order) => h("li", {}, h("div", {},
  h("a", { href: `/desk/${encodeURIComponent(order.id)}` }, order.customer.name),
  h("span", { class: "hint" }, [known(`class.${order.customer.class}`, order.customer.class), minute(order.created)].join(" · ")),
  h("span", { class: "hint" }, `${counted("orders.items", order.items.length)} · ${area(order.km2)} · ${money(order.price.amount, order.price.currency)}`),
  order.state === "held" ? h("span", { class: "hint" }, waitsFor(order)) : null), stateOf(order.state));

/** What a held order waits for, in words. */
function waitsFor(order) {
  const last = order.history.at(-1).reason;
  if (order.approvals < order.approvals_needed) return t("desk.approvals", { given: order.approvals, needed: order.approvals_needed });
  return order.until ? t("orders.until", { until: minute(order.until) }) : known(`reason.${last}`, last);
}

class One {
  constructor(page, id, signal) {
    Object.assign(this, { page, id, signal, title: t("orders.single") });
    this.body = h("div", { class: "parts" }, h("p", { class: "hint" }, t("orders.asking")));
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.element = h("article", { class: "item narrow" }, h("a", { class: "back", href: "/desk" }, icon("back"), t("desk.title")),
      h("h1", {}, this.title), this.body);
  }

  async load() {
    const order = await asked(this.body, `/officers/orders/${encodeURIComponent(this.id)}`, { signal: this.signal }, `/desk/${encodeURIComponent(this.id)}`);
    if (!order || this.signal.aborted) return;
    this.draw(order);
    if (!this.located) showGround(this.page, order.items, this.signal);
    this.located = true;
  }

  draw(order) {
    const nameOf = (one) => order.names[one] ?? one;
    fill(this.body,
      h("p", { class: "standing" }, stateOf(order.state), h("span", {}, order.state === "held" ? waitsFor(order) : known(`standing.${order.state}`, ""))),
      h("dl", { class: "pairs" }, pairs(order).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      this.decide(order),
      h("section", {}, h("h2", {}, counted("orders.items", order.items.length)), h("ul", { class: "orders" }, order.items.map(item))),
      order.approvals_given.length ? h("section", {}, h("h2", {}, t("desk.approved_by")), h("ul", { class: "plain-list" },
        order.approvals_given.map((one) => h("li", {}, h("b", {}, nameOf(one.by)), h("span", { class: "hint" }, ` ${minute(one.time)}`),
          one.note ? h("p", { class: "words" }, one.note) : null)))) : null,
      h("section", {}, h("h2", {}, t("orders.history")), historyOf(order.history, nameOf)),
      h("p", { class: "hint" }, t("orders.number"), " ", h("code", {}, order.id)));
  }

  /** The buttons of what can be decided about an order as it stands. */
  decide(order) {
    const wanted = order.state === "held" && order.approvals < order.approvals_needed;
    const owed = !order.paid && ["received", "accepted", "held", "failed"].includes(order.state);
    const refusable = ["received", "accepted", "held", "failed"].includes(order.state);
    if (!refusable) return null;
    this.note = h("textarea", { id: "note", rows: 2, maxlength: 1000 });
    const button = (action, kind, words) => h("button", { type: "button", class: kind, on: { click: (event) => this.act(action, event.target) } }, words);
    return h("section", {}, h("h2", {}, t("desk.decision")),
      h("label", { for: "note" }, t("desk.note")), this.note,
      h("div", { class: "actions" }, wanted ? button("approve", "main", t("desk.approve")) : null,
        owed ? button("paid", wanted ? "plain" : "main", t("desk.paid")) : null, button("reject", "plain", t("desk.reject"))),
      this.wrong);
  }

  async act(action, button) {
    button.disabled = true;
    this.wrong.textContent = "";
    const body = action === "paid" ? {} : { note: this.note.value.trim() || null };
    try {
      await ask(`/orders/${encodeURIComponent(this.id)}/${action}`, { method: "POST", body });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.wrong.textContent = known(`error.${error.kind}`, error.words);
      button.disabled = false;
      return;
    }
    await this.load();
    this.page.panel.focus();
    this.page.say(this.body.querySelector(".standing").textContent);
  }
}

const pairs = (order) => [
  [t("desk.customer"), order.customer.name],
  [t("desk.class"), known(`class.${order.customer.class}`, order.customer.class)],
  [t("desk.country"), [order.country, order.region].filter(Boolean).join(", ")],
  [t("basket.ground"), area(order.km2)],
  [t("basket.price"), [money(order.price.amount, order.price.currency), Number(order.price.amount) ? t(order.paid ? "desk.settled" : "desk.owed") : ""].filter(Boolean).join(", ")],
  [t("desk.ordered"), minute(order.created)],
].filter(([, value]) => value);

const item = (one) => h("li", {}, h("div", {},
  h("a", { href: `/item/${encodeURIComponent(one.collection)}/${encodeURIComponent(one.id)}` }, one.id),
  h("span", { class: "hint" }, [area(one.km2), one.decision === "allow" ? "" : known(`effect.${one.decision}`, one.decision), one.rule ? t("desk.rule", { rule: one.rule }) : ""].filter(Boolean).join(" · ")),
  one.reasons.length ? h("span", { class: "hint" }, one.reasons.join("; ")) : null));
