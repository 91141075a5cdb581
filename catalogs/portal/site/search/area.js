// Where: drawn on the map, taken from what the map shows, or written.

import { fill, h, icon } from "../dom.js";
import { NoArea, boxOf, readArea, squareKilometres } from "../geometry.js";
import { area as written, number, t } from "../i18n.js";

export class AreaField {
  constructor(page, change) {
    Object.assign(this, { page, change });
    this.text = h("textarea", { id: "area-text", rows: 3, spellcheck: "false", "aria-describedby": "area-help area-error",
      placeholder: "76.5, 42.9, 77.4, 43.4" });
    this.error = h("p", { class: "wrong", id: "area-error", role: "alert" });
    this.written = h("div", { class: "written", hidden: true },
      h("label", { for: "area-text" }, t("area.text")), this.text,
      h("p", { class: "hint", id: "area-help" }, t("area.help")), this.error,
      h("button", { type: "button", class: "plain", on: { click: () => this.apply() } }, t("area.apply")));
    this.tools = {
      rectangle: this.tool("rectangle", () => this.draw("rectangle")),
      polygon: this.tool("polygon", () => this.draw("polygon")),
      view: this.tool("view", () => this.view()),
      type: this.tool("type", () => this.write()),
    };
    this.tools.type.setAttribute("aria-expanded", "false");
    this.chosen = h("p", { class: "chosen" });
    this.element = h("fieldset", { class: "field" }, h("legend", {}, t("area.title")),
      h("div", { class: "tools" }, Object.values(this.tools)), this.chosen, this.written);
  }

  tool(name, act) {
    return h("button", { type: "button", class: "tool", on: { click: act } }, icon(name), h("span", {}, t(`area.${name}`)));
  }

  set(search) {
    this.page.held?.area(search.area);
    const area = search.area;
    const clear = h("button", { type: "button", class: "round", "aria-label": t("area.clear"), title: t("area.clear"),
      on: { click: () => { this.change({ area: null }); this.tools.rectangle.focus(); } } }, icon("close"));
    fill(this.chosen, area ? [h("span", {}, `${written(squareKilometres(area))} · ${corners(area)}`), clear] : t("area.none"));
    if (area && !this.text.value) this.text.value = boxOf(area).map((value) => +value.toFixed(4)).join(", ");
    if (!area) this.text.value = "";
  }

  /** Start drawing; the same button, Escape or another view ends it. */
  async draw(kind) {
    const running = this.drawing;
    this.giveUp();
    if (running === kind) return;
    const held = await this.page.mapReady;
    if (!held) return;
    this.drawing = kind;
    const giver = (this.giver = new AbortController());
    const escape = (event) => { if (event.key === "Escape") this.giveUp(); };
    addEventListener("keydown", escape);
    this.tools[kind].setAttribute("aria-pressed", "true");
    const hint = h("p", { class: "map-hint" }, t(`area.draw_${kind}`),
      h("button", { type: "button", class: "quiet", on: { click: () => this.giveUp() } }, t("area.cancel")));
    this.page.stage.append(hint);
    this.page.say(t(`area.draw_${kind}`));
    this.page.body.dataset.drawing = "yes";
    const { draw } = await import("../map/draw.js");
    const found = await draw(held, kind, giver.signal).catch(() => null);
    removeEventListener("keydown", escape);
    hint.remove();
    this.tools[kind].removeAttribute("aria-pressed");
    if (this.giver === giver) {
      delete this.page.body.dataset.drawing;
      this.drawing = null;
    }
    if (found) this.change({ area: found });
  }

  giveUp() {
    this.giver?.abort();
    this.drawing = null;
    delete this.page.body.dataset.drawing;
  }

  async view() {
    this.giveUp();
    const held = await this.page.mapReady;
    if (held) this.change({ area: held.viewed() });
  }

  write() {
    this.giveUp();
    this.written.hidden = !this.written.hidden;
    this.tools.type.setAttribute("aria-expanded", String(!this.written.hidden));
    if (!this.written.hidden) this.text.focus();
  }

  apply() {
    try {
      const area = readArea(this.text.value);
      this.error.textContent = "";
      this.change({ area });
      this.page.mapReady.then((held) => held?.show(boxOf(area)));
    } catch (error) {
      if (!(error instanceof NoArea)) throw error;
      this.error.textContent = t(error.key);
      this.text.focus();
    }
  }
}

function corners(area) {
  const [west, south, east, north] = boxOf(area).map((value) => number(value, { maximumFractionDigits: 2 }));
  return `${south}–${north}° N, ${west}–${east}° E`;
}
