// Where the images of an order lie, on the map beside its words.

import { Failure, ask } from "../api.js";
import { boxOfItem } from "../geometry.js";

const MOST = 100;

/** Show the outlines of ordered items that the asker may see. The words are whole without it: what fails is left out. */
export async function showGround(page, items, signal) {
  const held = await page.mapReady;
  if (!held || signal.aborted || !items.length) return;
  const some = items.slice(0, MOST);
  const body = {
    collections: [...new Set(some.map((one) => one.collection))], ids: [...new Set(some.map((one) => one.id))],
    limit: MOST, fields: { include: ["id", "collection", "geometry", "bbox"] },
  };
  let found;
  try {
    found = await ask("/stac/search", { method: "POST", body, signal });
  } catch (error) {
    if (error instanceof Failure || error.name === "AbortError") return;
    throw error;
  }
  if (signal.aborted || !found.features.length) return;
  const shown = found.features.map((item) => ({ ...item, key: `${item.collection}/${item.id}` }));
  const boxes = shown.map(boxOfItem);
  held.results(shown);
  held.mark("chosen", shown.map((item) => item.key));
  held.show([0, 1, 2, 3].map((side) => Math[side < 2 ? "min" : "max"](...boxes.map((box) => box[side]))));
}
