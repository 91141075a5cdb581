// The base map: land, borders and names from files beside this one. Nothing is asked of any other server.

import { spoken } from "../i18n.js";

const VENDOR = new URL("../vendor/", import.meta.url);
const FINE_FROM = 5;
// Places of rank 0 are named from afar, those of higher ranks when one comes nearer.
const SEEN = ["<=", ["get", "rank"], ["-", ["zoom"], 2]];
export const COLOURS = {
  water: "#d7e4ea", land: "#f7f5ef", edge: "#9fb2bb", border: "#9a8fa8", grid: "#c5d3da", ink: "#33434d",
  accent: "#00708a", chosen: "#d1495b", area: "#b35900",
};

/** Run a classic script of a library once. */
const scripts = new Map();
export function library(name) {
  if (!scripts.has(name))
    scripts.set(name, new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = new URL(name, VENDOR).href;
      element.addEventListener("load", resolve);
      element.addEventListener("error", () => {
        scripts.delete(name);
        reject(new Error(`no ${name}`));
      });
      document.head.append(element);
    }));
  return scripts.get(name);
}

const collection = (features = []) => ({ type: "FeatureCollection", features });
// Finer tiles than these are cut from them as they are needed: the outlines themselves are no finer.
const source = (maxzoom, data = collection()) => ({ type: "geojson", data, maxzoom });

/** The style, empty of everything that must be fetched first. */
export function style() {
  const text = (name, size, extra = {}, paint = {}) => ({
    id: name, type: "symbol", source: name, layout: {
      "text-field": ["get", "label"], "text-size": size, "text-font": ["sans-serif"], "text-max-width": 8, ...extra,
    },
    paint: { "text-color": COLOURS.ink, "text-halo-color": COLOURS.land, "text-halo-width": 1.4, ...paint },
  });
  return {
    version: 8,
    sources: {
      land: source(7), borders: source(7), grid: source(3, graticule()), overlays: source(12), countries: source(4), places: source(6),
    },
    layers: [
      { id: "water", type: "background", paint: { "background-color": COLOURS.water } },
      { id: "land", type: "fill", source: "land", paint: { "fill-color": COLOURS.land, "fill-antialias": false } },
      { id: "coast", type: "line", source: "land", paint: { "line-color": COLOURS.edge, "line-width": 0.6 } },
      { id: "grid", type: "line", source: "grid", paint: { "line-color": COLOURS.grid, "line-width": 0.5 } },
      { id: "borders", type: "line", source: "borders",
        paint: { "line-color": COLOURS.border, "line-width": ["interpolate", ["linear"], ["zoom"], 2, 0.6, 8, 1.6] } },
      { id: "overlay-areas", type: "fill", source: "overlays", filter: ["==", ["geometry-type"], "Polygon"],
        paint: { "fill-color": COLOURS.border, "fill-opacity": 0.06 } },
      { id: "overlay-lines", type: "line", source: "overlays", filter: ["!=", ["geometry-type"], "Point"],
        paint: { "line-color": COLOURS.border, "line-width": 1.2 } },
      text("countries", ["interpolate", ["linear"], ["zoom"], 2, 10, 6, 15],
        { "text-letter-spacing": 0.08, "symbol-sort-key": ["-", ["get", "weight"]] }, { "text-opacity": 0.75 }),
      { ...text("places", 12, { "text-anchor": "left", "text-offset": [0.5, 0], "symbol-sort-key": ["get", "rank"] }),
        filter: SEEN },
      { id: "place-dots", type: "circle", source: "places", filter: SEEN,
        paint: { "circle-radius": 2.5, "circle-color": COLOURS.land, "circle-stroke-color": COLOURS.ink, "circle-stroke-width": 1.2 } },
    ],
  };
}

/** Fetch what the map shows, coarse first; finer where somebody looks closer. */
export async function furnish(map, settings) {
  const places = json(new URL("../places.json", import.meta.url));
  // Chromium's own library has no Kazakh; these are of the CLDR, which others' have.
  map.kazakh = await json(new URL("../countries.kk.json", import.meta.url));
  const overlays = Promise.all(settings.overlays.map(overlay));
  await drawWorld(map, settings);
  const named = [...(await places).features, ...(await overlays).flat().filter(isPoint)];
  map.places = named;
  map.getSource("overlays").setData(collection((await overlays).flat().filter((one) => !isPoint(one))));
  name(map);
  if (!settings.world_borders) return;
  let fine = false;
  const finer = async () => {
    if (fine || map.getZoom() < FINE_FROM) return;
    fine = true;
    try {
      map.getSource("borders").setData(borders(await json(new URL("countries-10m.json", VENDOR))));
    } catch {
      fine = false; // The coarse ones stay.
    }
  };
  // Not before what the page was opened for is there.
  map.once("idle", () => { map.on("zoomend", finer); finer(); });
}

const borders = (world) => window.topojson.mesh(world, world.objects.countries, (a, b) => a !== b);

async function drawWorld(map, settings) {
  const [world] = await Promise.all([json(new URL("countries-50m.json", VENDOR)), library("topojson-client.min.js")]);
  map.getSource("land").setData(window.topojson.feature(world, world.objects.land));
  if (!settings.world_borders) return;
  map.getSource("borders").setData(borders(world));
  map.countries = window.topojson.feature(world, world.objects.countries).features.map(middle).filter(Boolean);
}

/** Put the names of countries and places in the language that is spoken. */
export function name(map) {
  const regions = new Intl.DisplayNames([spoken()], { type: "region", fallback: "none" });
  const named = (code) => (spoken() === "kk" ? map.kazakh?.[code] : regions.of(code));
  const country = ({ code, properties }) => (code && named(code)) || properties.name;
  const place = ({ properties }) => properties[`name:${spoken()}`] ?? properties.name ?? "";
  const labelled = (features, words) =>
    collection(features.map((one) => ({ ...one, properties: { ...one.properties, label: words(one) } })));
  map.getSource("countries").setData(labelled(map.countries ?? [], country));
  map.getSource("places").setData(labelled(map.places ?? [], place));
}

async function json(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`no ${address}`);
  return answer.json();
}

async function overlay(address) {
  try {
    const found = await json(address);
    if (found.type !== "Topology") return found.type === "FeatureCollection" ? found.features : [found];
    await library("topojson-client.min.js");
    return Object.values(found.objects).flatMap((one) => {
      const made = window.topojson.feature(found, one);
      return made.features ?? [made];
    });
  } catch {
    return []; // The rest of the map is worth showing without it.
  }
}

const isPoint = (feature) => feature.geometry?.type === "Point";

/** A point inside a country for its name: the middle of its largest part. */
function middle({ id, properties, geometry }) {
  if (!geometry) return null;
  const rings = geometry.type === "Polygon" ? [geometry.coordinates[0]] : geometry.coordinates.map((one) => one[0]);
  const measured = rings.map((ring) => {
    let [twice, x, y] = [0, 0, 0];
    for (let i = 0; i + 1 < ring.length; i += 1) {
      const cross = ring[i][0] * ring[i + 1][1] - ring[i + 1][0] * ring[i][1];
      twice += cross;
      x += (ring[i][0] + ring[i + 1][0]) * cross;
      y += (ring[i][1] + ring[i + 1][1]) * cross;
    }
    return { size: Math.abs(twice), at: [x / (3 * twice), y / (3 * twice)] };
  });
  const largest = measured.reduce((a, b) => (b.size > a.size ? b : a));
  if (!largest.at.every(Number.isFinite)) return null;
  // Countries are numbered as ISO 3166 and the United Nations number them, which Intl knows by their letters.
  const code = /^\d{3}$/.test(id ?? "") ? new Intl.Locale(`und-${id}`).region : null;
  return {
    type: "Feature", properties: { name: properties.name, weight: largest.size }, code: /^[A-Z]{2}$/.test(code ?? "") ? code : null,
    geometry: { type: "Point", coordinates: largest.at },
  };
}

function graticule() {
  const lines = [];
  for (let lon = -180; lon <= 180; lon += 10) lines.push([-85, -40, 0, 40, 85].map((lat) => [lon, lat]));
  for (let lat = -80; lat <= 80; lat += 10) lines.push([-180, -90, 0, 90, 180].map((lon) => [lon, lat]));
  return collection([{ type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates: lines } }]);
}
