// The map: made once, kept through all views, and told by them what to show.

import { counted, t } from "../i18n.js";
import { h, icon } from "../dom.js";
import { boxArea } from "../geometry.js";
import { COLOURS, furnish, name, style } from "./basemap.js";

const PADDING = 56;
const collection = (features) => ({ type: "FeatureCollection", features });

/** The map in an element, ready when its style is there. Null where the browser has no WebGL. */
export async function makeMap(element, settings) {
  const gl = await import("../vendor/maplibre-gl.mjs");
  const [west, south, east, north] = settings.start;
  let map;
  try {
    map = new gl.Map({
      container: element, style: style(), bounds: [[west, south], [east, north]], attributionControl: false,
      maxZoom: 22, dragRotate: false, pitchWithRotate: false, touchPitch: false, fadeDuration: 0, renderWorldCopies: true,
    });
  } catch {
    return null;
  }
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new gl.ScaleControl({ maxWidth: 110 }), "bottom-left");
  await new Promise((resolve) => { map.once("style.load", resolve); });
  layers(map);
  const held = new HeldMap(map, gl, settings, element);
  furnish(map, settings).catch(() => {}); // The images are worth showing without it.
  element.held = held; // For tests, and for whoever looks into the page from the browser's console.
  return held;
}

function layers(map) {
  for (const id of ["results", "area"]) map.addSource(id, { type: "geojson", data: collection([]), promoteId: "key" });
  const state = (name, yes, no) => ["case", ["boolean", ["feature-state", name], false], yes, no];
  const before = "countries";
  map.addLayer({ id: "results-fill", type: "fill", source: "results",
    paint: { "fill-color": COLOURS.accent, "fill-opacity": state("pictured", 0, state("hover", 0.28, 0.1)) } }, before);
  map.addLayer({ id: "results-line", type: "line", source: "results",
    paint: { "line-color": state("chosen", COLOURS.chosen, COLOURS.accent),
      "line-width": state("chosen", 3, state("hover", 3, 1.4)) } }, before);
  map.addLayer({ id: "area-fill", type: "fill", source: "area",
    paint: { "fill-color": COLOURS.area, "fill-opacity": 0.06 } }, before);
  map.addLayer({ id: "area-line", type: "line", source: "area",
    paint: { "line-color": COLOURS.area, "line-width": 2, "line-dasharray": [3, 2] } }, before);
}

/** What views ask of the map. */
class HeldMap {
  constructor(map, gl, settings, element) {
    Object.assign(this, { map, gl, settings, element });
    this.states = { hover: new Set(), chosen: new Set(), pictured: new Set() };
    this.pictures = new Map();
    this.buttons = h("div", { class: "map-buttons" });
    element.append(this.buttons, h("p", { class: "credits" }, ["MapLibre", settings.world_borders ? "Natural Earth" : null].filter(Boolean).join(" · ")));
    this.listen();
    this.renew();
  }

  listen() {
    this.over = () => {};
    this.pressed = () => {};
    this.asked = null;
    const found = (event) => this.map.queryRenderedFeatures(event.point, { layers: ["results-fill"] }).map((one) => one.properties.key);
    this.map.on("mousemove", (event) => {
      if (this.drawing) return;
      const [first] = found(event);
      this.map.getCanvas().style.cursor = this.asked ? "crosshair" : first ? "pointer" : "";
      if (first !== this.hovered) this.over((this.hovered = first));
    });
    this.map.on("mouseout", () => { if (this.hovered) this.over((this.hovered = undefined)); });
    this.map.on("click", (event) => {
      if (this.drawing) return;
      if (this.asked) this.asked(event.lngLat);
      else this.pressed([...new Set(found(event))]);
    });
  }

  /** Words again, after a change of language. */
  renew() {
    const button = (label, drawing, act) =>
      h("button", { type: "button", class: "map-button", "aria-label": t(label), title: t(label), on: { click: act } }, icon(drawing));
    this.buttons.replaceChildren(
      button("map.closer", "plus", () => this.map.zoomIn()),
      button("map.farther", "minus", () => this.map.zoomOut()),
      button("map.home", "home", () => this.show(this.settings.start)),
    );
    this.map.getCanvas().setAttribute("aria-label", t("map.label"));
    name(this.map);
  }

  /** The footprints of results. */
  results(items) {
    for (const kind of Object.keys(this.states)) this.mark(kind, []);
    this.map.getSource("results").setData(collection(items.filter((item) => item.geometry).map((item) => ({
      type: "Feature", geometry: item.geometry, properties: { key: item.key },
    }))));
    this.map.getCanvas().setAttribute("aria-label", `${t("map.label")}. ${counted("results.count", items.length)}`);
  }

  /** Which footprints are `hover`, `chosen` or `pictured`; whichever were before are no longer. */
  mark(kind, keys) {
    for (const key of this.states[kind]) this.map.removeFeatureState({ source: "results", id: key }, kind);
    this.states[kind] = new Set(keys);
    for (const key of keys) this.map.setFeatureState({ source: "results", id: key }, { [kind]: true });
  }

  /** The area that is searched. */
  area(area) {
    this.map.getSource("area").setData(collection(area ? [{ type: "Feature", geometry: area, properties: {} }] : []));
  }

  /** What the map shows, as an area; of a world shown more than once, once. */
  viewed() {
    const seen = this.map.getBounds();
    const west = Math.max(seen.getWest(), -180);
    const east = Math.min(seen.getEast(), 180);
    const wide = seen.getEast() - seen.getWest() >= 360 || west >= east;
    return boxArea([wide ? -180 : west, Math.max(seen.getSouth(), -85), wide ? 180 : east, Math.min(seen.getNorth(), 85)]);
  }

  /** Move so that a box is seen whole. */
  show([west, south, east, north], { jump = false } = {}) {
    const still = jump || matchMedia("(prefers-reduced-motion: reduce)").matches;
    const side = Math.min(this.element.clientWidth, this.element.clientHeight);
    this.map.fitBounds([[west, south], [east, north]], { padding: Math.min(PADDING, side / 6), maxZoom: 16, duration: still ? 0 : 700 });
  }

  /** Lay an item's picture on the map by its TileJSON. */
  picture(key, tilejson, opacity = 1) {
    this.unpicture(key);
    const id = `picture:${key}`;
    const tiles = tilejson.tiles.map((address) => localTiles(address));
    this.map.addSource(id, { type: "raster", tiles, tileSize: 256, bounds: tilejson.bounds, maxzoom: tilejson.maxzoom });
    this.map.addLayer({ id, type: "raster", source: id, paint: { "raster-opacity": opacity, "raster-fade-duration": 0 } }, "results-fill");
    this.pictures.set(key, id);
    this.mark("pictured", [...this.pictures.keys()]);
  }

  /** Take a picture off the map. */
  unpicture(key) {
    const id = this.pictures.get(key);
    if (!id) return;
    this.map.removeLayer(id);
    this.map.removeSource(id);
    this.pictures.delete(key);
    this.mark("pictured", [...this.pictures.keys()]);
  }

  unpictureAll() {
    for (const key of [...this.pictures.keys()]) this.unpicture(key);
  }

  opacity(key, value) {
    const id = this.pictures.get(key);
    if (id) this.map.setPaintProperty(id, "raster-opacity", value);
  }

  resize() {
    this.map.resize();
  }
}

/** Tiles under the name by which this page was asked, so that the cookie goes with them; the {z} stays as it is. */
export function localTiles(address) {
  const found = /^https?:\/\/[^/]+(\/.*)$/.exec(address);
  return location.origin + (found ? found[1] : address);
}
