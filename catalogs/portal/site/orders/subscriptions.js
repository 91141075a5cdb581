// My subscriptions: what comes by itself, ended by a button; and the last search made into one.

import { Failure, ask } from "../api.js";
import { fill, h } from "../dom.js";
import { counted, known, minute, t } from "../i18n.js";

const MOST_COLLECTIONS = 32;

/** A section below the orders. It asks for nothing before it is loaded. */
export class Subscriptions {
  constructor(page, signal) {
    Object.assign(this, { page, signal, key: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` });
    this.list = h("div", {});
    this.offer = h("div", { "aria-live": "polite" });
    this.element = h("section", { class: "subscriptions" }, h("h2", {}, t("subscriptions.title")), this.list, this.offer);
  }

  async load() {
    const found = await this.attempt(this.list, () => ask("/subscriptions?state=active&state=paused", { signal: this.signal }));
    if (!found) return;
    fill(this.list, found.subscriptions.length ? h("ul", { class: "orders" }, found.subscriptions.map((one) => this.line(one)))
      : h("p", { class: "hint" }, t("subscriptions.empty")));
    const search = this.page.kept.search?.search;
    if (search?.area)
      fill(this.offer, h("button", { type: "button", class: "plain", on: { click: () => this.expect(search) } }, t("subscriptions.of_search")));
  }

  line(one) {
    const end = h("button", { type: "button", class: "plain", on: { click: () => this.end(one, end) } }, t("subscriptions.end"));
    const what = one.request.title ?? [...(one.request.collections ?? []), one.request.recipe].filter(Boolean).join(", ");
    return h("li", {}, h("div", {}, h("b", {}, what), h("span", { class: "hint" }, t("subscriptions.since", { since: minute(one.since) }))),
      h("span", { class: "state", "data-state": one.state }, known(`subscription.${one.state}`, one.state)), end);
  }

  async end(one, button) {
    button.disabled = true;
    const ended = await this.attempt(this.offer, () => ask(`/subscriptions/${encodeURIComponent(one.id)}`, { method: "DELETE", signal: this.signal }));
    if (!ended) return;
    this.page.say(t("subscriptions.ended"));
    this.page.panel.focus();
    await this.load();
  }

  async wanted(search, licence) {
    const known_ = search.collections.length ? search.collections
      : (await ask("/stac/collections", { signal: this.signal })).collections.map((one) => one.id);
    return {
      area: search.area, collections: known_.slice(0, MOST_COLLECTIONS), cloud_cover: search.cloud < 100 ? search.cloud : null,
      order: licence ? { licence_accepted: licence } : {}, submission_key: this.key,
    };
  }

  /** What it would come to, the licence where one is needed, and the button that subscribes. */
  async expect(search) {
    const expected = await this.attempt(this.offer, async () =>
      ask("/subscriptions?dry_run=true", { method: "POST", body: await this.wanted(search, null), signal: this.signal }));
    if (!expected) return;
    const licence = expected.licences.join(",");
    const subscribe = h("button", { type: "button", class: "main", disabled: licence !== "", on: { click: () => this.subscribe(search, licence, subscribe) } },
      t("subscriptions.subscribe"));
    const accept = h("input", { type: "checkbox", on: { change: () => { subscribe.disabled = !accept.checked; } } });
    fill(this.offer, h("p", {}, counted("subscriptions.matching", expected.matching)), h("p", { class: "hint" }, t("subscriptions.decided")),
      licence ? h("label", { class: "choice" }, accept, h("span", {}, t("basket.licence", { licence: expected.licences.join(", ") }))) : null, subscribe);
  }

  async subscribe(search, licence, button) {
    button.disabled = true;
    const made = await this.attempt(this.offer, async () =>
      ask("/subscriptions", { method: "POST", body: await this.wanted(search, licence), signal: this.signal }));
    if (!made) return;
    this.key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
    this.page.say(t("subscriptions.made"));
    await this.load();
  }

  async attempt(element, work) {
    try {
      return await work();
    } catch (error) {
      this.failed(element, error);
      return null;
    }
  }

  failed(element, error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Failure)) throw error;
    fill(element, h("p", { class: "notice bad", role: "alert" }, error.words));
  }
}
