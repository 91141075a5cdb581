// A month's report: what was sold abroad beside what was done for the country, and by whom it was ordered.

import { fill, h, icon } from "../dom.js";
import { known, number, spoken, t } from "../i18n.js";
import { money } from "../orders/checkout.js";
import { asked } from "../signing.js";

const SUMS = ["export", "domestic", "domestic_free", "total"];
const PARTS = ["by_class", "by_customer", "by_country", "by_region"];

export async function show(page, place, signal) {
  const view = new Report(page, place.query.get("month"), signal);
  return { element: view.element, title: view.title, shown: () => view.load() };
}

class Report {
  constructor(page, month, signal) {
    Object.assign(this, { page, signal, title: t("report.title") });
    this.month = h("input", { type: "month", id: "month", value: month ?? new Date().toISOString().slice(0, 7), required: true, on: { change: () => this.load() } });
    this.body = h("div", { class: "parts", "aria-live": "polite" }, h("p", { class: "hint" }, t("orders.asking")));
    this.element = h("article", { class: "item wide" }, h("a", { class: "back", href: "/desk" }, icon("back"), t("desk.title")),
      h("h1", {}, this.title), h("div", { class: "form" }, h("label", { for: "month" }, t("report.month")), this.month), this.body);
  }

  async load() {
    if (!this.month.value) return;
    const path = `/officers/reports/${encodeURIComponent(this.month.value)}`;
    const found = await asked(this.body, path, { signal: this.signal }, `/report?month=${this.month.value}`);
    if (!found) return;
    const file = (form, words) => h("a", { class: "chip", href: `${path}?format=${form}&language=${spoken()}`, download: true }, icon("download"), words);
    fill(this.body, h("div", { class: "chips" }, file("pdf", "PDF"), file("csv", "CSV")),
      found.rows.length ? null : h("p", { class: "notice" }, t("report.nothing")),
      table(t("report.summary"), SUMS.map((name) => ({ ...found[name], key: t(`report.${name}`) }))),
      PARTS.filter((name) => found[name].length).map((name) => table(t(`report.${name}`), found[name].map((line) => ({ ...line, key: known(`class.${line.key}`, line.key) })))));
  }
}

const table = (title, lines) => h("section", {}, h("h2", {}, title), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
  h("table", {}, h("thead", {}, h("tr", {}, ["name", "orders", "scenes", "km2", "gb", "amount"].map((name) => h("th", { scope: "col" }, t(`report.column.${name}`))))),
    h("tbody", {}, lines.map((line) => h("tr", {}, h("th", { scope: "row" }, line.key), h("td", {}, number(line.orders)), h("td", {}, number(line.scenes)),
      h("td", {}, number(line.km2, { maximumFractionDigits: 2 })), h("td", {}, number(line.gigabytes, { maximumFractionDigits: 3 })),
      h("td", {}, amounts(line.amounts))))))));

/** Sums by currency; none is nothing to pay. */
const amounts = (sums) => Object.entries(sums).filter(([, sum]) => Number(sum)).map(([currency, sum]) => money(sum, currency)).join("; ") || "0";
