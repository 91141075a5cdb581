// The search: filters above, results below, footprints on the map; all of it follows the address.

import { Failure, ask } from "../api.js";
import { h, settled } from "../dom.js";
import { counted, t } from "../i18n.js";
import { boxOf } from "../geometry.js";
import * as router from "../router.js";
import { EVERYTHING, fromQuery, question, toPath } from "../state.js";
import { AreaField } from "./area.js";
import { DateField } from "./dates.js";
import { FilterField } from "./filters.js";
import { Results } from "./results.js";

const WAIT_MS = 250;
const FIELDS = {
  include: ["id", "collection", "geometry", "bbox", "assets.thumbnail", "properties.datetime", "properties.title",
    "properties.qyran:titles", "properties.eo:cloud_cover", "properties.gsd", "properties.platform", "properties.version"],
};

/** The view; made once, then kept with its results while others are shown. */
export async function show(page, place) {
  const view = (page.kept.search ??= new Search(page));
  view.take(fromQuery(place.query));
  return {
    element: view.element, title: t("search.title"), scroll: view.scroll,
    shown: () => view.shown(), leave: () => view.leave(), settled: view.settled,
  };
}

class Search {
  constructor(page) {
    this.page = page;
    this.search = null;
    const change = (part) => this.change(part);
    this.area = new AreaField(page, change);
    this.dates = new DateField(change);
    this.filters = new FilterField(change);
    this.results = new Results(page, { more: () => this.more(), order: (order) => change({ order }), again: () => this.run() });
    this.clear = h("button", { type: "button", class: "quiet", on: { click: () => this.change(EVERYTHING) } }, t("search.clear"));
    this.fields = h("form", { class: "fields", "aria-label": t("search.title"), on: { submit: (event) => event.preventDefault() } },
      h("div", { class: "fields-head" }, h("h1", {}, t("search.title")), this.clear),
      this.area.element, this.dates.element, this.filters.element);
    this.element = h("div", { class: "search" }, this.fields, this.results.element);
    this.later = settled(() => this.run(), WAIT_MS);
    this.settled = new Promise((resolve) => { this.settle = resolve; });
    this.learnAll();
  }

  /** What there is at all: for the slider's ends and the lists to choose from. */
  async learnAll() {
    try {
      const [found, { collections }] = await Promise.all([ask("/stac/aggregate"), ask("/stac/collections")]);
      const figures = Object.fromEntries(found.aggregations.map((one) => [one.name, one]));
      this.figures = figures;
      this.dates.learn(figures);
      this.filters.learn(figures, collections);
      this.dates.set(this.search);
      this.filters.set(this.search);
      this.empty = figures.total_count?.value === 0;
      if (this.empty) this.results.nothingCatalogued();
      else if (!this.moved && !this.search.area) await this.goThere(collections);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.results.failed(error);
    }
  }

  /** The first view: where the images are, if they are all in one part of the world. */
  async goThere(collections) {
    const boxes = collections.map((one) => one.extent?.spatial?.bbox?.[0]).filter((box) => box?.length === 4);
    if (!boxes.length || router.here().name !== "search") return;
    const held = await this.page.mapReady;
    const all = [0, 1, 2, 3].map((side) => (side < 2 ? Math.min : Math.max)(...boxes.map((box) => box[side])));
    if (held && !this.moved && all[2] - all[0] < 60) held.show(widened(all), { jump: true });
    this.moved = true;
  }

  /** Take over the search of an address. */
  take(search) {
    const text = toPath(search);
    this.page.kept.address = text;
    if (this.search && toPath(this.search) === text) return;
    const areaToo = JSON.stringify(this.search?.area) !== JSON.stringify(search.area);
    this.search = search;
    for (const field of [this.area, this.dates, this.filters]) field.set(search);
    if (areaToo && search.area) this.page.mapReady.then((held) => held?.show(boxOf(search.area), { jump: !this.moved }));
    if (search.area) this.moved = true;
    this.run();
  }

  /** A field was changed by hand. */
  change(part) {
    this.search = { ...this.search, ...part };
    for (const field of [this.area, this.dates, this.filters]) field.set(this.search);
    const path = toPath(this.search);
    this.page.kept.address = path;
    // Moving a slider is one step back, not a hundred.
    router.go(path, { replace: this.written !== undefined && Date.now() - this.written < 1500, quiet: true });
    this.written = Date.now();
    this.later();
  }

  async run() {
    this.asking?.abort();
    this.asking = new AbortController();
    this.clear.hidden = toPath(this.search) === "/";
    this.results.waiting();
    await this.get({ ...question(this.search), fields: FIELDS }, false);
  }

  async more() {
    this.asking = new AbortController();
    await this.get(this.next.body ?? null, true);
  }

  async get(body, further) {
    const { signal } = this.asking;
    try {
      const found = await ask("/stac/search", { method: "POST", body, signal });
      if (signal.aborted) return;
      this.next = found.links.find((one) => one.rel === "next");
      const items = found.features.map((item) => ({ ...item, key: `${item.collection}/${item.id}` }));
      this.results.found(further ? [...this.results.items, ...items] : items, {
        matched: found.numberMatched, more: Boolean(this.next), order: this.search.order, further, empty: this.empty,
      });
      this.page.say(counted("results.count", found.numberMatched ?? this.results.items.length));
      requestAnimationFrame(() => setTimeout(this.settle));
      this.map();
      if (found.numberMatched === undefined && !further) this.count(signal);
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      if (!(error instanceof Failure)) throw error;
      this.settle();
      this.results.failed(error);
      this.page.say(error.words);
    }
  }

  /** How many there are where the search does not say by itself. */
  async count(signal) {
    const { sortby, limit, ...asked } = question(this.search);
    try {
      const found = await ask("/stac/aggregate", { method: "POST", body: { ...asked, aggregations: ["total_count"] }, signal });
      this.results.matched(found.aggregations[0].value);
    } catch {
      // The list is there all the same; only its head says less.
    }
  }

  map() {
    if (!this.onShow || !this.page.held) return;
    this.page.held.results(this.results.items);
    this.results.mark();
  }

  async shown() {
    this.onShow = true;
    const held = await this.page.mapReady;
    if (!held || !this.onShow) return;
    held.area(this.search.area);
    held.over = (key) => this.results.hover(key, { scroll: true });
    held.pressed = (keys) => this.results.choose(keys);
    this.map();
    this.results.repicture();
  }

  leave() {
    this.onShow = false;
    this.scroll = this.page.panel.scrollTop;
    this.area.giveUp();
    if (!this.page.held) return;
    this.page.held.over = this.page.held.pressed = () => {};
    this.page.held.unpictureAll();
    this.page.held.results([]);
    this.page.held.area(null);
  }
}

function widened([west, south, east, north]) {
  const [dx, dy] = [Math.max((east - west) * 0.15, 0.4), Math.max((north - south) * 0.15, 0.25)];
  return [west - dx, south - dy, east + dx, north + dy];
}

