// Where an item comes from: what it was made of, by what, and in which versions it is.

import { ask, local, paths } from "../api.js";
import { h } from "../dom.js";
import { minute, t } from "../i18n.js";
import { pairs } from "./facts.js";
import { table } from "./quality.js";

const ITEM = /\/stac\/collections\/([^/]+)\/items\/([^/?]+)/;

export function origin(item) {
  const p = item.properties;
  const software = Object.entries(p["processing:software"] ?? {});
  const stac = item.links.find((one) => one.rel === "self")?.href;
  return [
    p["processing:lineage"] ? h("p", { class: "words" }, p["processing:lineage"]) : null,
    pairs([
      ["origin.recipe", [p["qyran:recipe"], p["processing:version"]].filter(Boolean).join(" ")],
      ["origin.made", p["processing:datetime"] ? minute(p["processing:datetime"]) : null],
      ["origin.version", p.version ? h("code", {}, p.version) : null],
      ["origin.lineage", p["qyran:lineage_sha256"] ? h("code", {}, p["qyran:lineage_sha256"]) : null],
      ["origin.from", parents(item)],
    ]),
    h("p", { class: "links" }, stac ? h("a", { href: local(stac), target: "_blank", rel: "noopener" }, "STAC JSON") : null,
      item.assets.iso19139 ? h("a", { href: local(item.assets.iso19139.href), target: "_blank", rel: "noopener" }, "ISO 19115 (XML)") : null),
    software.length ? h("details", {}, h("summary", {}, t("origin.software")),
      table([t("origin.program"), t("origin.version")], software.map(([name, version]) => h("tr", {},
        h("th", { scope: "row" }, name), h("td", {}, h("code", {}, String(version))))))) : null,
  ];
}

function parents(item) {
  const found = item.links.filter((one) => one.rel === "derived_from").map((one) => ITEM.exec(one.href)).filter(Boolean)
    .map(([, collection, id]) => ({ collection: decodeURIComponent(collection), id: decodeURIComponent(id) }));
  return found.length ? h("ul", { class: "plain-list" }, found.map((one) => h("li", {}, h("a", { href: paths.page(one) }, one.id)))) : null;
}

/** All versions, the one that is shown marked. */
export async function versions(item, named, signal) {
  const link = item.links.find((one) => one.rel === "version-history");
  if (!link) return h("p", { class: "hint" }, t("versions.only"));
  const { features } = await ask(local(link.href), { signal });
  return h("ol", { class: "plain-list" }, features.map((one, place) => {
    const version = one.properties.version;
    const shown = named.version ? version === named.version : place === 0;
    const words = `${minute(one.properties.updated ?? one.properties.created ?? one.properties.datetime)}${place === 0 ? ` · ${t("versions.latest")}` : ""}`;
    const path = paths.page({ collection: item.collection, id: item.id, version: place === 0 ? null : version });
    return h("li", {}, shown ? h("b", {}, words) : h("a", { href: path }, words), " ", h("code", {}, version));
  }));
}
