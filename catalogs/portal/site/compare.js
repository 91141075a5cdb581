// Two images of the same ground, one over the other, with an edge between them that is moved to and fro.

import { Failure, ask, layersOf, local, paths } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { boxOfItem, common, touch } from "./geometry.js";
import { minute, t, titleOf } from "./i18n.js";
import { COLOURS } from "./map/basemap.js";
import { localTiles } from "./map/map.js";
import * as router from "./router.js";

const STEP = 2;

export async function show(page, place, signal) {
  const named = ["a", "b"].map((name) => {
    const [collection, ...id] = (place.query.get(name) ?? "").split("/");
    return { collection, id: id.join("/") };
  });
  const back = h("button", { type: "button", class: "quiet back", on: { click: () => router.back(page.kept.address ?? "/") } }, icon("back"), t("item.back"));
  const body = h("div", { class: "compare" });
  const element = h("article", { class: "item" }, back, h("h1", {}, t("compare.title")), body);
  try {
    const items = await Promise.all(named.map((one) => ask(paths.item(one), { signal })));
    fill(body, h("p", { class: "words" }, t("compare.words")),
      touch(...items.map(boxOfItem)) ? null : h("p", { class: "notice warn" }, t("compare.apart")),
      items.map((item, side) => card(item, t(side ? "compare.right" : "compare.left"))));
    const swipe = new Swipe(page, items, signal);
    return { element, title: t("compare.title"), shown: () => swipe.start(body), leave: () => swipe.end(), settled: Promise.resolve() };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    fill(body, h("div", { class: "notice bad" }, h("p", {}, error.kind === "not_found" ? t("item.not_found") : error.words)));
    return { element, title: t("compare.title") };
  }
}

function card(item, side) {
  const thumbnail = item.assets?.thumbnail?.href;
  return h("div", { class: "card" }, h("div", { class: "thumb" }, thumbnail ? h("img", { src: local(thumbnail), alt: "" }) : icon("image")),
    h("div", { class: "card-text" }, h("p", { class: "eyebrow" }, side),
      h("h2", {}, h("a", { href: paths.page(item) }, minute(item.properties.datetime))), h("p", { class: "card-title" }, titleOf(item.properties, item.id))));
}

/** A second map over the first, cut off at the edge; both move as one. */
class Swipe {
  constructor(page, items, signal) {
    Object.assign(this, { page, items, signal, at: 50 });
  }

  async start(body) {
    const { items } = this;
    const held = (this.held = await this.page.mapReady);
    if (this.signal.aborted) return;
    if (!held) {
      fill(body, h("p", { class: "notice" }, t("map.none")));
      return;
    }
    this.over = h("div", { class: "map-over" });
    this.edge = h("div", { class: "edge", role: "slider", tabindex: "0", "aria-label": t("compare.edge"), "aria-valuemin": 0, "aria-valuemax": 100,
      "aria-orientation": "horizontal" }, h("span", {}, icon("swipe")));
    this.labels = items.map((item, side) => h("span", { class: `side side-${side}` }, minute(item.properties.datetime)));
    this.page.stage.append(this.over, this.edge, ...this.labels);
    const boxes = items.map(boxOfItem);
    held.show(touch(...boxes) ? common(...boxes) : boxes[0], { jump: true });
    const { center, zoom } = { center: held.map.getCenter(), zoom: held.map.getZoom() };
    this.map = new held.gl.Map({ container: this.over, style: bare(), center, zoom, attributionControl: false, interactive: false, fadeDuration: 0, maxZoom: 22 });
    this.map.getCanvas().setAttribute("aria-hidden", "true");
    this.map.getCanvas().tabIndex = -1;
    this.follow = () => this.map.jumpTo({ center: held.map.getCenter(), zoom: held.map.getZoom() });
    held.map.on("move", this.follow);
    this.follow();
    this.listen();
    this.move(50);
    await new Promise((resolve) => { this.map.once("style.load", resolve); });
    try {
      const [left, right] = await Promise.all(items.map((item) => this.tilejson(item)));
      if (this.signal.aborted) return;
      // The first lies above, and is seen left of the edge.
      held.picture(`${items[1].collection}/${items[1].id}`, right);
      this.map.addSource("left", { type: "raster", tiles: left.tiles.map(localTiles), tileSize: 256, bounds: left.bounds, maxzoom: left.maxzoom });
      this.map.addLayer({ id: "left", type: "raster", source: "left", paint: { "raster-fade-duration": 0 } });
    } catch (error) {
      if (error.name !== "AbortError") body.append(h("div", { class: "notice bad", role: "alert" }, h("p", {}, error.words ?? t("item.no_picture"))));
    }
  }

  async tilejson(item) {
    const { layers } = await layersOf(item, item, this.signal);
    return ask(local(layers[0].tilejson), { signal: this.signal });
  }

  listen() {
    const drag = (event) => {
      const box = this.page.stage.getBoundingClientRect();
      this.move((100 * (event.clientX - box.left)) / box.width);
    };
    this.edge.addEventListener("pointerdown", (event) => {
      this.edge.setPointerCapture(event.pointerId);
      this.edge.addEventListener("pointermove", drag);
      event.preventDefault();
      this.edge.focus();
    });
    for (const end of ["pointerup", "pointercancel"]) this.edge.addEventListener(end, () => this.edge.removeEventListener("pointermove", drag));
    this.edge.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: this.at - STEP, ArrowRight: this.at + STEP, ArrowDown: this.at - STEP, ArrowUp: this.at + STEP,
        PageDown: this.at - 10, PageUp: this.at + 10, Home: 0, End: 100 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.move(to);
    });
  }

  move(to) {
    this.at = Math.min(Math.max(to, 0), 100);
    this.over.style.clipPath = `inset(0 ${100 - this.at}% 0 0)`;
    this.edge.style.left = `${this.at}%`;
    this.edge.setAttribute("aria-valuenow", Math.round(this.at));
    this.edge.setAttribute("aria-valuetext", t("compare.share", { percent: Math.round(this.at) }));
  }

  end() {
    if (!this.map) return;
    this.held.map.off("move", this.follow);
    this.map.remove();
    for (const element of [this.over, this.edge, ...this.labels]) element.remove();
    this.held.unpictureAll();
  }
}

/** No base map: that below is seen beside the images, and twice would be once too often. */
const bare = () => ({ version: 8, sources: {}, layers: [{ id: "land", type: "background", paint: { "background-color": COLOURS.land } }] });
