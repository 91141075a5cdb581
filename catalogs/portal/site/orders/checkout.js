// The basket: what is in it, what it comes to, the licence, the order.

import { Failure, ask } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { area, counted, minute, number, t } from "../i18n.js";
import * as router from "../router.js";
import { pleaseSignIn } from "../signing.js";

export async function show(page, place, signal) {
  const view = new Checkout(page, signal);
  view.draw();
  return { element: view.element, title: t("basket.title"), shown: () => view.quote() };
}

class Checkout {
  constructor(page, signal) {
    Object.assign(this, { page, signal, key: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` });
    this.list = h("ul", { class: "basket" });
    this.options = this.makeOptions();
    this.offer = h("div", { class: "offer", "aria-live": "polite" });
    this.element = h("article", { class: "item narrow" }, h("h1", {}, t("basket.title")), this.list, this.options, this.offer);
  }

  makeOptions() {
    this.format = h("select", { id: "format", on: { change: () => this.quote() } },
      ["cog", "zarr"].map((one) => h("option", { value: one }, t(`basket.format_${one}`))));
    this.crs = h("input", { type: "text", id: "crs", placeholder: "EPSG:32642", pattern: "EPSG:\\d{4,6}", "aria-describedby": "crs-help", on: { change: () => this.quote() } });
    const area_ = this.page.kept.search?.search?.area ?? null;
    this.clip = area_ ? h("input", { type: "checkbox", on: { change: () => this.quote() } }) : null;
    this.partial = h("input", { type: "checkbox", on: { change: () => this.quote() } });
    this.area = area_;
    return h("div", { class: "form" },
      h("label", { for: "format" }, t("basket.format")), this.format,
      h("label", { for: "crs" }, t("basket.crs")), this.crs, h("p", { class: "hint", id: "crs-help" }, t("basket.crs_help")),
      this.clip ? h("label", { class: "choice" }, this.clip, h("span", {}, t("basket.clip"))) : null,
      h("label", { class: "choice" }, this.partial, h("span", {}, t("basket.partial"))));
  }

  draw() {
    const { items } = this.page.basket;
    this.options.hidden = !items.length;
    fill(this.list, items.map((one) => h("li", {}, h("div", {}, h("a", { href: `/item/${one.key}` }, minute(one.when) || one.key), h("span", { class: "hint" }, one.title)),
      h("span", { class: "hint price" }, this.priceOf(one.key)),
      h("button", { type: "button", class: "round", "aria-label": `${t("basket.remove")}: ${minute(one.when)}`, title: t("basket.remove"), on: { click: () => this.remove(one.key) } }, icon("close")))));
    if (!items.length) fill(this.offer, h("div", { class: "notice empty" }, icon("basket"), h("p", {}, t("basket.empty")), h("a", { class: "button", href: "/" }, t("head.search"))));
  }

  priceOf(key) {
    const found = this.offered?.items?.find((one) => `${one.collection}/${one.id}` === key);
    if (!found) return this.offered?.left_out?.some((one) => one.item === key) ? t("basket.left_out") : null;
    return `${area(found.km2)} · ${money(found.amount, this.offered.currency)}${found.decision === "allow" ? "" : ` · ${t(`effect.${found.decision}`)}`}`;
  }

  remove(key) {
    this.page.basket.remove(key);
    this.draw();
    this.quote();
    this.page.panel.focus();
  }

  asked(licence = null) {
    return {
      items: this.page.basket.items.map((one) => one.key),
      clip: this.clip?.checked ? this.area : null,
      crs: this.crs.value.trim() || null,
      format: this.format.value,
      partial: this.partial.checked,
      ...(licence ? { licence_accepted: licence } : {}),
    };
  }

  /** What it would come to, now. */
  async quote() {
    if (!this.page.basket.items.length) return;
    if (!this.crs.checkValidity()) {
      fill(this.offer, h("p", { class: "wrong", role: "alert" }, t("basket.crs_wrong")));
      return;
    }
    if (!this.page.account.signedIn) await this.page.account.learn();
    if (this.signal.aborted) return;
    if (!this.page.account.signedIn) {
      fill(this.offer, pleaseSignIn("/basket"));
      return;
    }
    fill(this.offer, h("p", { class: "hint" }, t("basket.asking")));
    try {
      this.offered = await ask("/orders/quote", { method: "POST", body: this.asked(), signal: this.signal });
    } catch (error) {
      this.failed(error);
      return;
    }
    this.draw();
    this.show(this.offered);
  }

  show(offer) {
    const licences = offer.licences?.length ? offer.licences : [offer.licence].filter(Boolean);
    const accept = h("input", { type: "checkbox", id: "licence" });
    const submit = h("button", { type: "button", class: "main", disabled: licences.length > 0, on: { click: () => this.order(submit, licences) } }, t("basket.order"));
    accept.addEventListener("change", () => { submit.disabled = !accept.checked; });
    const held = offer.decision === "allow" ? null : h("p", { class: "notice warn" }, t(`decision.${offer.decision}`, { until: offer.until ? minute(offer.until) : "" }),
      offer.approvals ? ` ${counted("basket.approvals", offer.approvals)}` : "");
    fill(this.offer,
      h("dl", { class: "total" }, h("dt", {}, t("basket.ground")), h("dd", {}, area(offer.km2)), h("dt", {}, t("basket.price")), h("dd", { class: "sum" }, money(offer.amount, offer.currency))),
      held,
      offer.left_out?.length ? h("p", { class: "notice warn" }, counted("basket.without", offer.left_out.length)) : null,
      offer.decision === "deny" ? null : [
        licences.length ? h("label", { class: "choice" }, accept, h("span", {}, t("basket.licence", { licence: licences.join(", ") }))) : null, submit]);
    this.page.say(`${t("basket.price")}: ${money(offer.amount, offer.currency)}`);
  }

  async order(button, licences) {
    button.disabled = true;
    try {
      const made = await ask("/orders", { method: "POST", body: { ...this.asked(licences.join(",")), submission_key: this.key } });
      this.page.basket.clear();
      router.go(`/my-orders/${encodeURIComponent(made.id)}`, { replace: true });
    } catch (error) {
      button.disabled = false;
      this.failed(error);
    }
  }

  failed(error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Failure)) throw error;
    if (error.status === 401) fill(this.offer, pleaseSignIn("/basket"));
    else fill(this.offer, h("div", { class: "notice bad" }, h("p", {}, error.words),
      h("button", { type: "button", class: "plain", on: { click: () => this.quote() } }, t("error.again"))));
  }
}

/** A sum of money in the way of the language; the sum itself is exact as it came. */
export function money(amount, currency) {
  if (Number(amount) === 0) return t("basket.free");
  try {
    return number(amount, { style: "currency", currency });
  } catch {
    return `${amount} ${currency}`;
  }
}

