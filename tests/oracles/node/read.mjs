// Reads one level of a product with zarrita: `node read.mjs LEVEL_FOLDER BAND`, prints what it found as JSON.
import { createHash } from "node:crypto";
import * as zarr from "zarrita";
import FileSystemStore from "@zarrita/storage/fs";

const [folder, band] = process.argv.slice(2);
const root = zarr.root(new FileSystemStore(folder));
const opened = (name) => zarr.open(root.resolve(name), { kind: "array" });
const [array, x, y, mapping] = await Promise.all([band, "x", "y", "spatial_ref"].map(opened));
const [pixels, columns, rows] = await Promise.all([array, x, y].map((each) => zarr.get(each)));
const bytes = Buffer.from(pixels.data.buffer, pixels.data.byteOffset, pixels.data.byteLength);
console.log(JSON.stringify({
  shape: pixels.shape,
  dtype: array.dtype,
  sha256: createHash("sha256").update(bytes).digest("hex"),
  attributes: array.attrs,
  crs_wkt: mapping.attrs.crs_wkt,
  x: columns.data[0],
  y: rows.data[0],
}));
