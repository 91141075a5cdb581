// An item's own page: its picture on the map, and everything that is known of it.

import { Failure, ask, layersOf, local, paths } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { boxOfItem } from "../geometry.js";
import { localTiles } from "../map/map.js";
import { minute, number, t, titleOf } from "../i18n.js";
import * as router from "../router.js";
import { comparePath } from "../search/results.js";
import { facts } from "./facts.js";
import { files } from "./files.js";
import { quality } from "./quality.js";
import { origin, versions } from "./origin.js";
import { snippets } from "./snippets.js";

const SIMILAR = 12;

export async function show(page, place, signal) {
  const [collection, id] = place.parts;
  const named = { collection, id, version: place.query.get("version") };
  const back = h("button", { type: "button", class: "quiet back", on: { click: () => router.back(page.kept.address ?? "/") } },
    icon("back"), t("item.back"));
  try {
    const item = await ask(paths.item(named), { signal });
    return new ItemView(page, item, named, back, signal).view();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const words = error.kind === "not_found" ? t("item.not_found") : error.words;
    const element = h("article", { class: "item" }, back, h("h1", {}, t("item.title")), h("div", { class: "notice bad" }, h("p", {}, words)));
    return { element, title: t("item.title") };
  }
}

class ItemView {
  constructor(page, item, named, back, signal) {
    Object.assign(this, { page, item, named, signal });
    this.key = `${item.collection}/${item.id}`;
    this.title = titleOf(item.properties, item.id);
    this.when = item.properties.datetime ?? item.properties.start_datetime;
    this.layers = h("div", { class: "layers" });
    this.values = h("div", { class: "values", role: "status" });
    this.quality = h("div", {});
    this.others = h("div", {});
    this.versions = h("div", {});
    this.element = h("article", { class: "item" },
      back,
      h("p", { class: "eyebrow" }, this.title),
      h("h1", {}, minute(this.when)),
      named.version ? h("p", { class: "notice" }, t("item.earlier"), " ",
        h("a", { href: paths.page({ collection: item.collection, id: item.id }) }, t("item.latest"))) : null,
      this.actions(),
      this.layers, this.values,
      section("item.about", h("p", { class: "words" }, described(item)), facts(item)),
      section("item.quality", this.quality),
      section("item.files", files(item, page)),
      section("item.others", this.others),
      section("item.use", snippets(item, page)),
      section("item.origin", origin(item)),
      section("item.versions", this.versions));
    fill(this.quality, quality.waiting());
  }

  view() {
    return {
      element: this.element, title: `${minute(this.when)}, ${this.title}`,
      shown: () => this.shown(), leave: () => this.leave(), settled: Promise.resolve(),
    };
  }

  actions() {
    const { basket } = this.page;
    const order = h("button", { type: "button", class: "main" });
    const renew = () => fill(order, icon(basket.has(this.key) ? "check" : "basket"), t(basket.has(this.key) ? "item.ordered" : "item.order"));
    order.addEventListener("click", () => {
      if (basket.has(this.key)) router.go("/basket");
      else {
        basket.add({ key: this.key, title: this.title, when: this.when });
        this.page.say(t("item.added"));
      }
      renew();
    });
    renew();
    const picture = this.item.assets.visual ?? this.item.assets.thumbnail;
    const buttons = [this.named.version ? null : order];
    if (picture) buttons.push(h("a", { class: "button", href: "#files", on: { click: (event) => {
      event.preventDefault();
      const files_ = this.element.querySelector("#files");
      files_.scrollIntoView({ block: "start" });
      files_.querySelector("h2").focus({ preventScroll: true });
    } } }, icon("download"), t("item.download")));
    return h("div", { class: "actions" }, buttons);
  }

  async shown() {
    const tried = (work, place) => work.catch((error) => {
      if (error.name === "AbortError") return;
      if (!(error instanceof Failure)) throw error;
      fill(place, h("p", { class: "hint" }, error.words));
    });
    await Promise.all([
      tried(this.look(), this.values), tried(this.measure(), this.quality),
      tried(this.neighbours(), this.others), tried(this.history(), this.versions),
    ]);
  }

  leave() {
    const { held } = this.page;
    if (!held) return;
    held.asked = null;
    held.unpictureAll();
    held.results([]);
  }

  /** The picture on the map, and what other pictures there are. */
  async look() {
    const held = await this.page.mapReady;
    if (!held || this.signal.aborted) return;
    held.results([{ ...this.item, key: this.key }]);
    held.mark("chosen", [this.key]);
    held.show(boxOfItem(this.item), { jump: !this.page.kept.search });
    let found;
    try {
      found = await layersOf(this.item, this.named, this.signal);
    } catch (error) {
      if (error.name !== "AbortError") fill(this.layers, h("p", { class: "hint" }, t("item.no_picture")));
      return;
    }
    if (this.signal.aborted) return;
    const renders = this.item.properties.renders ?? {};
    const words = (one) => (one.kind === "preset" ? titleOf(renders[one.name], one.title) : titleOf(this.item.assets[one.name], one.title));
    const choice = h("select", { id: "layer", on: { change: () => lay() } },
      found.layers.map((one) => h("option", { value: one.name }, one.name === "visual" ? t("item.visual") : words(one))));
    const opacity = h("input", { type: "range", id: "opacity", min: 0, max: 100, step: 5, value: 100,
      on: { input: () => held.opacity(this.key, opacity.value / 100) } });
    fill(this.layers,
      h("div", {}, h("label", { for: "layer" }, t("item.layer")), choice),
      h("div", {}, h("label", { for: "opacity" }, t("item.opacity")), opacity));
    const lay = async () => {
      const layer = found.layers.find((one) => one.name === choice.value);
      const tilejson = await ask(local(layer.tilejson), { signal: this.signal });
      if (!this.signal.aborted) held.picture(this.key, tilejson, opacity.value / 100);
    };
    held.asked = (at) => this.point(found.point, at);
    fill(this.values, h("p", { class: "hint" }, t("item.point_hint")));
    await lay();
  }

  /** Values of the pixel that was pressed. */
  async point(template, { lng, lat }) {
    const lon = ((((lng + 180) % 360) + 360) % 360) - 180;
    const address = localTiles(template.replace("{lon}", lon.toFixed(7)).replace("{lat}", lat.toFixed(7)));
    try {
      const found = await ask(address, { signal: this.signal });
      const all = Object.entries(found.values).filter(([, { value }]) => value !== null);
      const words = ([key, { value, unit }]) =>
        [h("dt", {}, key), h("dd", {}, number(value, { maximumSignificantDigits: 4 }), unit === "deg" ? "°" : unit === "1" ? "" : ` ${unit}`)];
      fill(this.values, h("p", {}, h("b", {}, [lat, lon].map((value) => number(value, { maximumFractionDigits: 5 })).join(", "))),
        all.length ? h("dl", { class: "pairs small" }, all.map(words)) : h("p", { class: "hint" }, t("item.point_none")));
    } catch (error) {
      if (error instanceof Failure) fill(this.values, h("p", { class: "hint" }, error.words));
    }
  }

  async measure() {
    const report = this.item.assets.quality?.href;
    try {
      const found = report ? await ask(local(report), { signal: this.signal }) : null;
      fill(this.quality, quality(this.item, found));
    } catch (error) {
      if (error.name === "AbortError") throw error;
      fill(this.quality, quality(this.item, null));
    }
  }

  /** Images of the same ground, to look at both. */
  async neighbours() {
    const body = {
      intersects: this.item.geometry, collections: [this.item.collection], limit: SIMILAR + 1,
      sortby: [{ field: "properties.datetime", direction: "desc" }],
    };
    const found = await ask("/stac/search", { method: "POST", body, signal: this.signal });
    const others = found.features.filter((one) => one.id !== this.item.id).slice(0, SIMILAR);
    fill(this.others, others.length
      ? h("ul", { class: "strip" }, others.map((one) => h("li", {}, h("a", { href: comparePath(this.item, one) },
        one.assets?.thumbnail ? h("img", { src: local(one.assets.thumbnail.href), alt: "", loading: "lazy" }) : icon("image"),
        h("span", {}, minute(one.properties.datetime))))))
      : h("p", { class: "hint" }, t("item.no_others")));
  }

  async history() {
    fill(this.versions, await versions(this.item, this.named, this.signal));
  }
}

const described = (item) => item.properties["qyran:descriptions"]?.[document.documentElement.lang] ?? item.properties.description ?? "";

function section(key, ...content) {
  const name = key.split(".")[1];
  return h("section", { id: name, "aria-labelledby": `head-${name}` }, h("h2", { id: `head-${name}`, tabindex: "-1" }, t(key)), content);
}
