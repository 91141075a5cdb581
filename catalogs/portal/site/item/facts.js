// What an item says of itself, in words.

import { h } from "../dom.js";
import { minute, number, t } from "../i18n.js";

const angle = (value) => (value === undefined ? null : `${number(value, { maximumFractionDigits: 1 })}°`);
const metres = (value) => (typeof value === "number" ? `${number(value, { maximumFractionDigits: 2 })} ${t("unit.m")}` : null);
const span = (p) => (p.start_datetime && p.start_datetime !== p.end_datetime
  ? `${minute(p.start_datetime)} – ${minute(p.end_datetime)}` : minute(p.datetime));
const timeliness = (category) => (category === "NRT" ? t("timeliness.nrt") : category === "NTC" ? t("timeliness.ntc") : null);

/** Pairs of a name and a value; those without a value are left out. */
export function pairs(entries) {
  return h("dl", { class: "pairs" }, entries.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([key, value]) => [h("dt", {}, t(key)), h("dd", {}, value)]));
}

export function facts(item) {
  const p = item.properties;
  return pairs([
    ["fact.acquired", span(p)],
    ["fact.satellite", p.platform],
    ["fact.instrument", p.instruments?.join(", ")],
    ["fact.level", p["processing:level"]],
    ["fact.timeliness", timeliness(p["product:timeliness_category"])],
    ["fact.gsd", metres(p.gsd)],
    ["fact.cloud", p["eo:cloud_cover"] === undefined ? t("card.no_cloud") : `${number(p["eo:cloud_cover"], { maximumFractionDigits: 1 })} %`],
    ["fact.snow", p["eo:snow_cover"] === undefined ? null : `${number(p["eo:snow_cover"], { maximumFractionDigits: 1 })} %`],
    ["fact.sun", angle(p["view:sun_elevation"])],
    ["fact.off_nadir", angle(p["view:off_nadir"])],
    ["fact.orbit", [p["sat:absolute_orbit"], p["sat:orbit_state"] ? t(`orbit.${p["sat:orbit_state"]}`) : null].filter(Boolean).join(", ")],
    ["fact.crs", p["proj:code"]],
    ["fact.grid", p["grid:code"]],
    ["fact.licence", p.license === "other" ? t("fact.licence_other") : p.license],
    ["fact.provider", p.providers?.map((one) => one.name).join("; ")],
    ["fact.published", p.published ? minute(p.published) : null],
    ["fact.id", h("code", {}, `${item.collection}/${item.id}`)],
  ]);
}

/** How well an item lies on the ground. */
export function accuracy(item) {
  const p = item.properties;
  const px = (value) => (value === undefined ? null : `${number(value, { maximumFractionDigits: 3 })} ${t("unit.px")}`);
  const known = [
    ["fact.ce90", metres(p["qyran:ce90_m"])],
    ["fact.rmse", metres(p["accuracy:geometric_rmse"])],
    ["fact.bias_x", metres(p["accuracy:geometric_x_bias"])],
    ["fact.bias_y", metres(p["accuracy:geometric_y_bias"])],
    ["fact.std_x", metres(p["accuracy:geometric_x_stddev"])],
    ["fact.std_y", metres(p["accuracy:geometric_y_stddev"])],
    ["fact.bands_apart", px(p["qyran:band_misregistration_px"])],
  ];
  return known.some(([, value]) => value) ? pairs(known) : null;
}
