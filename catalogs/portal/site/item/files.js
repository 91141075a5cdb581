// The files of an item: what each is, how large, and how to have it.

import { ask, local } from "../api.js";
import { h, icon } from "../dom.js";
import { bytes, known, number, t, titleOf } from "../i18n.js";

const KINDS = [
  ["image/tiff; application=geotiff", "COG"], ["image/tiff", "TIFF"], ["application/vnd.zarr", "Zarr"], ["image/webp", "WebP"],
  ["image/png", "PNG"], ["application/json", "JSON"], ["application/vnd.iso.19139", "ISO 19139"], ["application/xml", "XML"], ["text/xml", "XML"],
];
const kind = (media = "") => KINDS.find(([begin]) => media.startsWith(begin))?.[1] ?? media.split(";")[0];
// What most people come for stands first.
const GROUPS = ["picture", "bands", "flags", "angles", "records"];

function groupOf(key, asset) {
  if (["visual", "thumbnail"].includes(key)) return "picture";
  if (asset["classification:bitfields"]) return "flags";
  if (asset.unit === "deg") return "angles";
  return asset.roles?.includes("metadata") || asset.roles?.includes("iso-19115") ? "records" : "bands";
}

/** All files, in groups. */
export function files(item, page) {
  const grouped = Object.groupBy(Object.entries(item.assets), ([key, asset]) => groupOf(key, asset));
  const download = (event) => take(event, page);
  const row = ([key, asset]) => {
    const store = (asset.type ?? "").startsWith("application/vnd.zarr");
    const facts = [kind(asset.type), bytes(asset["file:size"]), asset.gsd ? `${number(asset.gsd)} ${t("unit.m")}` : null, asset.data_type];
    return h("li", { class: "file" },
      h("div", {}, h("b", {}, key), h("span", { class: "hint" }, known(`asset.${key}`) ?? titleOf(asset, "")),
        h("span", { class: "facts" }, facts.filter(Boolean).map((one) => h("span", {}, one)))),
      store ? copyButton(asset.href, "files.copy_store", key) : [
        copyButton(asset.href, "files.copy", key),
        h("a", { class: "chip", href: local(asset.href), download: true, on: { click: download }, "aria-label": `${t("files.download")}: ${key}` },
          icon("download"), h("span", {}, t("files.download")))]);
  };
  const closed = grouped.bands ? null : h("p", { class: "notice" }, t(page.account.signedIn ? "files.rest_order" : "files.rest"));
  return [closed, ...listed(grouped, row)];
}

function listed(grouped, row) {
  return GROUPS.filter((name) => grouped[name]).map((name, place) => {
    const list = h("ul", { class: "files" }, grouped[name].map(row));
    return place < 2 ? [h("h3", {}, t(`files.${name}`)), list]
      : h("details", {}, h("summary", {}, t(`files.${name}`), " ", h("span", { class: "hint" }, number(grouped[name].length))), list);
  });
}

/** A button that puts a text on the clipboard, and says so. */
export function copyButton(text, label, about) {
  const words = h("span", {}, t(label));
  return h("button", { type: "button", class: "chip", "aria-label": `${t(label)}: ${about}`, on: { click: async () => {
    words.textContent = (await copied(text)) ? t("copy.done") : t("copy.failed");
    setTimeout(() => { words.textContent = t(label); }, 2000);
  } } }, icon("copy"), words);
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // The browser lets nobody write there from a page without https, unless it is of this machine.
  }
}

/** See first whether the file may be had: a browser tells nobody why it could not fetch one. */
async function take(event, page) {
  const anchor = event.currentTarget;
  if (anchor.dataset.asked) return;
  event.preventDefault();
  const row = anchor.closest("li");
  row.querySelector(".wrong")?.remove();
  try {
    await ask(anchor.href, { method: "HEAD" }).catch((error) => { if (error.kind !== "garbled") throw error; });
  } catch (error) {
    const words = error.kind === "not_found" ? t("files.not_yours") : error.words;
    row.append(h("p", { class: "wrong", role: "alert" }, words));
    page.say(words);
    return;
  }
  anchor.dataset.asked = "yes";
  anchor.click();
  delete anchor.dataset.asked;
}
