// What is searched for: kept in the address, so that it can be shared, kept as a bookmark, and returned to.

export const EVERYTHING = Object.freeze({
  area: null, from: "", to: "", cloud: 100, unmeasured: true, collections: [], platforms: [], words: "", order: "newest",
});
export const ORDERS = ["newest", "oldest", "clearest"];
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** The search that a query stands for; what it says wrongly is left out. */
export function fromQuery(query) {
  const list = (name) => query.getAll(name).filter(Boolean);
  const day = (name) => (DAY.test(query.get(name) ?? "") ? query.get(name) : "");
  const cloud = Number(query.get("cloud") ?? 100);
  return {
    area: areaOf(query.get("area") ?? ""),
    from: day("from"),
    to: day("to"),
    cloud: Number.isFinite(cloud) ? Math.min(Math.max(Math.round(cloud), 0), 100) : 100,
    unmeasured: query.get("unmeasured") !== "no",
    collections: list("collection"),
    platforms: list("platform"),
    words: query.get("q") ?? "",
    order: ORDERS.includes(query.get("order")) ? query.get("order") : "newest",
  };
}

/** The address of a search. */
export function toPath(search) {
  const query = new URLSearchParams();
  if (search.area) query.set("area", areaText(search.area));
  for (const name of ["from", "to"]) if (search[name]) query.set(name, search[name]);
  if (search.cloud < 100) query.set("cloud", search.cloud);
  if (!search.unmeasured) query.set("unmeasured", "no");
  for (const one of search.collections) query.append("collection", one);
  for (const one of search.platforms) query.append("platform", one);
  if (search.words) query.set("q", search.words);
  if (search.order !== "newest") query.set("order", search.order);
  const text = query.toString();
  return text ? `/?${text}` : "/";
}

/** How many filters other than area and dates are set. */
export const narrowed = (search) =>
  (search.cloud < 100 ? 1 : 0) + search.collections.length + search.platforms.length + (search.words ? 1 : 0);

// A polygon as text: rings of "lon lat" with commas between, rings apart by semicolons; five digits are a metre.
function areaText(area) {
  const polygons = area.type === "MultiPolygon" ? area.coordinates : [area.coordinates];
  const ring = (points) => points.slice(0, -1).map(([x, y]) => `${+x.toFixed(5)} ${+y.toFixed(5)}`).join(",");
  return polygons.map((rings) => rings.map(ring).join(";")).join("|");
}

function areaOf(text) {
  if (!text) return null;
  const polygons = text.split("|").map((polygon) => polygon.split(";").map(ringOf));
  if (polygons.flat().some((ring) => ring === null)) return null;
  return polygons.length === 1
    ? { type: "Polygon", coordinates: polygons[0] }
    : { type: "MultiPolygon", coordinates: polygons };
}

function ringOf(text) {
  const points = text.split(",").map((pair) => pair.trim().split(" ").map(Number));
  if (points.length < 3 || points.some((point) => point.length !== 2 || !point.every(Number.isFinite))) return null;
  return [...points, points[0]];
}

/** The question to the STAC API. `parts: false` leaves the dates out: for how images spread over time. */
export function question(search, { limit = 24, dates = true } = {}) {
  const asked = { limit, sortby: sorting(search.order) };
  if (search.area) asked.intersects = search.area;
  if (dates && (search.from || search.to))
    asked.datetime = `${search.from ? `${search.from}T00:00:00Z` : ".."}/${search.to ? `${search.to}T23:59:59.999Z` : ".."}`;
  if (search.collections.length) asked.collections = search.collections;
  if (search.words.trim()) asked.q = search.words.trim().split(/\s+/);
  const conditions = [...platformIs(search), ...cloudIs(search)];
  if (conditions.length) {
    asked.filter = conditions.length === 1 ? conditions[0] : { op: "and", args: conditions };
    asked["filter-lang"] = "cql2-json";
  }
  return asked;
}

function sorting(order) {
  const newest = { field: "properties.datetime", direction: order === "oldest" ? "asc" : "desc" };
  return order === "clearest" ? [{ field: "properties.eo:cloud_cover", direction: "asc" }, newest] : [newest];
}

const platformIs = ({ platforms }) =>
  platforms.length ? [{ op: "in", args: [{ property: "platform" }, platforms] }] : [];

function cloudIs({ cloud, unmeasured }) {
  const property = { property: "eo:cloud_cover" };
  const clear = { op: "<=", args: [property, cloud] };
  const unknown = { op: "isNull", args: [property] };
  if (cloud >= 100) return unmeasured ? [] : [{ op: "not", args: [unknown] }];
  return [unmeasured ? { op: "or", args: [clear, unknown] } : clear];
}
