// Areas on the Earth: read from what people write, measured, and boxed.

const RADIUS_KM = 6371.0088;
export const MAX_POINTS = 5000;

/** What is wrong with an area that somebody wrote. `key` names the message. */
export class NoArea extends Error {
  constructor(key) {
    super(key);
    this.key = key;
  }
}

/** An area out of "west, south, east, north", or GeoJSON: a polygon, a feature of one, or a collection of them. */
export function readArea(text) {
  const trimmed = text.trim();
  if (!trimmed) throw new NoArea("area.error.empty");
  if (trimmed.startsWith("{")) return fromGeoJson(trimmed);
  const numbers = trimmed.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (numbers.length !== 4 || !numbers.every(Number.isFinite)) throw new NoArea("area.error.unread");
  const [west, south, east, north] = numbers;
  if (Math.abs(south) > 90 || Math.abs(north) > 90 || Math.abs(west) > 180 || Math.abs(east) > 180)
    throw new NoArea("area.error.degrees");
  if (south >= north || west === east) throw new NoArea("area.error.order");
  return boxArea([west, south, east, north]);
}

/** A box as an area; one across the antimeridian, whose west is beyond its east, becomes two. */
export function boxArea([west, south, east, north]) {
  const ring = (left, right) => [[[left, south], [right, south], [right, north], [left, north], [left, south]]];
  if (west < east) return { type: "Polygon", coordinates: ring(west, east) };
  return { type: "MultiPolygon", coordinates: [ring(west, 180), ring(-180, east)] };
}

function fromGeoJson(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new NoArea("area.error.unread");
  }
  const polygons = polygonsOf(found);
  if (!polygons.length) throw new NoArea("area.error.polygon");
  checkPoints(polygons);
  return polygons.length === 1
    ? { type: "Polygon", coordinates: polygons[0] }
    : { type: "MultiPolygon", coordinates: polygons };
}

function polygonsOf(found) {
  if (found?.type === "FeatureCollection") return (found.features ?? []).flatMap((one) => polygonsOf(one?.geometry));
  if (found?.type === "Feature") return polygonsOf(found.geometry);
  if (found?.type === "GeometryCollection") return (found.geometries ?? []).flatMap(polygonsOf);
  if (found?.type === "Polygon" && Array.isArray(found.coordinates)) return [found.coordinates];
  if (found?.type === "MultiPolygon" && Array.isArray(found.coordinates)) return found.coordinates;
  return [];
}

function checkPoints(polygons) {
  const points = polygons.flat(2);
  if (points.length > MAX_POINTS) throw new NoArea("area.error.points");
  for (const ring of polygons.flat(1))
    if (!Array.isArray(ring) || ring.length < 4) throw new NoArea("area.error.polygon");
  for (const point of points) {
    const good = Array.isArray(point) && Number.isFinite(point[0]) && Number.isFinite(point[1]);
    if (!good) throw new NoArea("area.error.unread");
    if (Math.abs(point[0]) > 180 || Math.abs(point[1]) > 90) throw new NoArea("area.error.degrees");
  }
}

const polygonsIn = (area) => (area.type === "MultiPolygon" ? area.coordinates : [area.coordinates]);

/** Square kilometres of an area on the sphere. */
export function squareKilometres(area) {
  const of = (ring) => {
    let sum = 0;
    for (let i = 0; i + 1 < ring.length; i += 1) {
      const [lon1, lat1, lon2, lat2] = [...ring[i].slice(0, 2), ...ring[i + 1].slice(0, 2)].map((v) => (v * Math.PI) / 180);
      sum += (lon2 - lon1) * (2 + Math.sin(lat1) + Math.sin(lat2));
    }
    return Math.abs((sum * RADIUS_KM ** 2) / 2);
  };
  return polygonsIn(area).reduce((all, [outer, ...holes]) => all + holes.reduce((a, hole) => a - of(hole), of(outer)), 0);
}

/** West, south, east, north of an area. */
export function boxOf(area) {
  const points = polygonsIn(area).flat(2);
  const [lons, lats] = [0, 1].map((axis) => points.map((point) => point[axis]));
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}

/** The plain box of an item: two numbers for each corner, whole round the Earth where it crosses the antimeridian. */
export function boxOfItem(item) {
  const box = item.bbox?.length === 6 ? [0, 1, 3, 4].map((place) => item.bbox[place]) : (item.bbox ?? [-180, -60, 180, 75]);
  return box[0] <= box[2] ? box : [box[0], box[1], box[2] + 360, box[3]];
}

/** Whether two boxes have anything in common. */
export const touch = (a, b) => a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3];

/** What two boxes that touch have in common. */
export const common = (a, b) => [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])];
