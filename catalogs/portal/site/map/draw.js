// Drawing an area with pointer or finger, by terra-draw; fetched when somebody draws first.

import { COLOURS, library } from "./basemap.js";

/** Let a person draw. Resolves with the area, or with null when it was given up; `signal` gives it up. */
export async function draw(held, kind, signal) {
  await library("terra-draw.umd.js");
  await library("terra-draw-maplibre-gl-adapter.umd.js");
  if (signal.aborted) return null;
  const { TerraDraw, TerraDrawPolygonMode, TerraDrawRectangleMode } = window.terraDraw;
  const { TerraDrawMapLibreGLAdapter } = window.terraDrawMaplibreGlAdapter;
  const looks = {
    fillColor: COLOURS.area, fillOpacity: 0.12, outlineColor: COLOURS.area, outlineWidth: 2,
    closingPointColor: COLOURS.area, closingPointWidth: 5,
  };
  const modes = [
    new TerraDrawRectangleMode({ styles: looks, drawInteraction: "click-move-or-drag" }),
    new TerraDrawPolygonMode({ styles: looks }),
  ];
  const adapter = new TerraDrawMapLibreGLAdapter({ map: held.map, coordinatePrecision: 6 });
  const tool = new TerraDraw({ adapter, modes });
  held.drawing = true;
  tool.start();
  tool.setMode(kind);
  try {
    return await new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(null));
      tool.on("finish", (id) => {
        const made = tool.getSnapshot().find((one) => one.id === id);
        resolve(made?.geometry.type === "Polygon" ? made.geometry : null);
      });
    });
  } finally {
    tool.stop();
    // The click that ended it is not one on the map.
    setTimeout(() => { held.drawing = false; }, 50);
  }
}
