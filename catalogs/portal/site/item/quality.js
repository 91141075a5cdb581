// How good an item is: from its report, which measured it.

import { h } from "../dom.js";
import { known, number, t } from "../i18n.js";
import { accuracy } from "./facts.js";

const percent = (value) => `${number(value, { maximumFractionDigits: value < 1 ? 2 : 1 })} %`;
// Flags that say that nobody looked come last, and only where something was not looked for.
const UNTESTED = "_not_tested";

/** What is known of an item's quality; `report` is null where it could not be had. */
export function quality(item, report) {
  const measured = accuracy(item);
  const parts = [h("h3", {}, t("quality.accuracy")), measured ?? h("p", { class: "hint" }, t("quality.no_accuracy"))];
  if (!report) return [...parts, h("p", { class: "hint" }, t("quality.no_report"))];
  for (const warning of report.warnings ?? [])
    parts.push(h("p", { class: "notice warn" }, typeof warning === "string" ? warning : (warning.message ?? JSON.stringify(warning))));
  return [...parts, ...flags(report), ...bands(item, report), ...registered(report)];
}

quality.waiting = () => h("p", { class: "hint" }, t("quality.waiting"));

function flags(report) {
  const groups = Object.entries(report.flags_percent ?? {}).filter(([group]) => group !== "angles");
  if (!groups.length) return [];
  const names = [...new Set(groups.flatMap(([, shares]) => Object.keys(shares)))];
  const tested = names.filter((name) => !name.endsWith(UNTESTED));
  const untested = names.filter((name) => name.endsWith(UNTESTED) && groups.some(([, shares]) => shares[name] > 50))
    .map((name) => name.slice(0, -UNTESTED.length));
  const rows = tested.filter((name) => !untested.includes(name)).map((name) => h("tr", {},
    h("th", { scope: "row" }, known(`flag.${name}`, name)), groups.map(([, shares]) => h("td", {}, shares[name] === undefined ? "–" : percent(shares[name])))));
  const parts = [
    h("h3", {}, t("quality.flags")),
    table([t("quality.flag"), ...groups.map(([group]) => known(`group.${group}`, group))], rows),
  ];
  if (untested.length)
    parts.push(h("p", { class: "hint" }, t("quality.untested", { what: untested.map((name) => known(`flag.${name}`, name)).join(", ") })));
  return parts;
}

function bands(item, report) {
  const measured = Object.entries(report.bands ?? {}).filter(([key]) => item.assets[key]?.bands?.[0]?.["eo:center_wavelength"] || item.assets[key]?.roles?.includes("data"));
  if (!measured.length) return [];
  const value = (number_) => (Number.isFinite(number_) ? number(number_, { maximumSignificantDigits: 3 }) : "–");
  return [
    h("h3", {}, t("quality.bands")),
    table(["band.name", "band.wavelength", "band.gsd", "band.valid", "band.mean", "band.spread"].map((key) => t(key)),
      measured.map(([key, one]) => {
        const asset = item.assets[key];
        const wavelength = asset?.bands?.[0]?.["eo:center_wavelength"];
        return h("tr", {}, h("th", { scope: "row" }, key),
          h("td", {}, wavelength ? `${number(wavelength * 1000, { maximumFractionDigits: 0 })} ${t("unit.nm")}` : "–"),
          h("td", {}, asset?.gsd ? `${number(asset.gsd)} ${t("unit.m")}` : "–"),
          h("td", {}, percent(one.valid_percent)), h("td", {}, value(one.mean)), h("td", {}, value(one.stddev)));
      })),
  ];
}

function registered({ registration }) {
  const pairs = (registration?.pairs ?? []).filter((one) => Number.isFinite(one.offset_px));
  if (!pairs.length) return [];
  return [
    h("h3", {}, t("quality.registration")),
    table([t("quality.pair"), t("quality.apart"), t("quality.uncertain")], pairs.map((one) => h("tr", {},
      h("th", { scope: "row" }, `${one.band} – ${one.reference}`),
      h("td", {}, `${number(one.offset_px, { maximumFractionDigits: 3 })} ${t("unit.px")}`),
      h("td", {}, one.error_px === undefined ? "–" : `± ${number(one.error_px, { maximumFractionDigits: 3 })} ${t("unit.px")}`)))),
  ];
}

/** A table that scrolls by itself where it is too wide, also by keyboard. */
export function table(heads, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": heads[0] }, h("table", {},
    h("thead", {}, h("tr", {}, heads.map((words) => h("th", { scope: "col" }, words)))), h("tbody", {}, rows)));
}
