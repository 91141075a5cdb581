// How to use an item elsewhere: lines to copy that work as they stand, made from the item itself.

import { h } from "../dom.js";
import { paths } from "../api.js";
import { t } from "../i18n.js";
import { copyButton } from "./files.js";

const TOKEN = "QYRAN_TOKEN";
const COG = "image/tiff; application=geotiff; profile=cloud-optimized";
const py = (text) => JSON.stringify(String(text));
const sh = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

/** Bands with values on one grid: what odc-stac loads together. */
function bandsOf(item) {
  const cogs = Object.entries(item.assets).filter(([, one]) => one.type === COG && one["raster:scale"] !== undefined && one.unit !== "deg");
  const gsd = Math.max(...cogs.map(([, one]) => one.gsd ?? 0));
  return cogs.filter(([, one]) => (one.gsd ?? 0) === gsd).map(([key]) => key);
}

function pystac(item, root, token) {
  return `${token ? "import os\n\n" : ""}from pystac_client import Client

catalogue = Client.open(${py(root)}${token ? `, headers={"Authorization": "Bearer " + os.environ["${TOKEN}"]}` : ""})
search = catalogue.search(collections=[${py(item.collection)}], ids=[${py(item.id)}])
item = next(search.items())
print(item.datetime, sorted(item.assets))
`;
}

function odc(item, root, token) {
  const bands = bandsOf(item);
  if (!bands.length) return null;
  return `${pystac(item, root, token).replace("from pystac_client", "import odc.stac\nfrom pystac_client").replace(/print.*\n$/, "")}${token ? `odc.stac.configure_rio(GDAL_HTTP_HEADERS="Authorization: Bearer " + os.environ["${TOKEN}"])\n` : ""}
pixels = odc.stac.load([item], bands=[${bands.map(py).join(", ")}], chunks={})
${bands.length ? scaled(item, bands[0]) : ""}print(pixels)
`;
}

function scaled(item, band) {
  const { "raster:scale": scale, "raster:offset": offset = 0, nodata } = item.assets[band];
  const stored = `pixels[${py(band)}]`;
  return `${band.replace(/\W/g, "_")} = ${stored}${nodata === undefined ? "" : `.where(${stored} != ${nodata})`} * ${scale} + ${offset}  # ${t("snippet.physical")}\n`;
}

function curl(item, token) {
  const [key, asset] = Object.entries(item.assets).find(([name]) => name === "visual") ?? Object.entries(item.assets).find(([, one]) => one.type === COG) ?? [];
  if (!asset) return null;
  const header = token ? ` -H "Authorization: Bearer $${TOKEN}"` : "";
  const file = `${item.id}_${key}${asset.href.slice(asset.href.lastIndexOf("."))}`;
  const lines = [`curl --fail --location --continue-at - --retry 3${header} \\`, `  --output ${sh(file)} \\`, `  ${sh(asset.href)}`];
  const sum = (asset["file:checksum"] ?? "").startsWith("1220") ? asset["file:checksum"].slice(4) : null;
  if (sum) lines.push(`echo ${sh(`${sum}  ${file}`)} | sha256sum --check`);
  return `${lines.join("\n")}\n`;
}

function qgis(item, origin, named) {
  const cog = (item.assets.visual ?? Object.values(item.assets).find((one) => one.type === COG))?.href;
  if (!cog) return null;
  const wmts = item.links.find((one) => one.rel === "wmts")?.href ?? `${origin}${paths.tiles(named)}/WMTSCapabilities.xml`;
  return [["snippet.qgis_cog", cog], ["snippet.qgis_wmts", wmts], ["snippet.qgis_stac", `${origin}/stac`]];
}

/** Tabs of snippets. */
export function snippets(item, page) {
  const self = item.links.find((one) => one.rel === "self")?.href ?? location.href;
  // Under the name that the server gives itself: what is copied is used elsewhere than in this browser.
  const { origin } = new URL(self);
  const token = page.account.signedIn;
  const made = [
    ["pystac-client", code(pystac(item, `${origin}/stac`, token))],
    ["odc-stac", code(odc(item, `${origin}/stac`, token))],
    ["curl", code(curl(item, token))],
    ["QGIS", addresses(qgis(item, origin, item))],
  ].filter(([, content]) => content);
  return [h("p", { class: "hint" }, t(token ? "snippet.with_token" : "snippet.hint", { variable: TOKEN })), tabs(made)];
}

function code(text) {
  if (!text) return null;
  return h("div", { class: "snippet" }, copyButton(text, "files.copy_text", t("item.use")), h("pre", { tabindex: "0" }, h("code", {}, text)));
}

function addresses(rows) {
  if (!rows) return null;
  return h("div", { class: "snippet" }, rows.map(([key, address]) => h("div", { class: "address" }, h("p", {}, t(key)),
    copyButton(address, "files.copy", t(key)), h("pre", { tabindex: "0" }, h("code", {}, address)))));
}

function tabs(made) {
  const panels = made.map(([name, content], place) => h("div", { role: "tabpanel", id: `use-${place}`, "aria-labelledby": `tab-${place}`, hidden: place > 0, "data-snippet": name }, content));
  const buttons = made.map(([name], place) => h("button", { type: "button", role: "tab", id: `tab-${place}`, "aria-controls": `use-${place}`,
    "aria-selected": String(place === 0), tabindex: place === 0 ? 0 : -1, on: { click: () => choose(place), keydown: (event) => move(event, place) } }, name));
  const choose = (chosen) => buttons.forEach((button, place) => {
    button.setAttribute("aria-selected", String(place === chosen));
    button.tabIndex = place === chosen ? 0 : -1;
    panels[place].hidden = place !== chosen;
  });
  const move = (event, place) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (place + step + made.length) % made.length;
    choose(next);
    buttons[next].focus();
  };
  return h("div", { class: "tabs" }, h("div", { role: "tablist", "aria-label": t("item.use") }, buttons), panels);
}
