// Which: cloud, satellites, products, words.

import { fill, h, settled } from "../dom.js";
import { counted, number, t, titleOf } from "../i18n.js";
import { narrowed } from "../state.js";

export class FilterField {
  constructor(change) {
    this.change = change;
    this.search = null;
    this.cloud = h("input", { type: "range", id: "cloud", min: 0, max: 100, step: 5,
      on: { input: (event) => change({ cloud: Number(event.target.value) }) } });
    this.cloudWords = h("output", { for: "cloud" });
    this.unmeasured = h("input", { type: "checkbox", on: { change: (event) => change({ unmeasured: event.target.checked }) } });
    this.words = h("input", { type: "search", id: "words", autocomplete: "off",
      on: { input: settled((event) => change({ words: event.target.value }), 300) } });
    this.lists = { platforms: h("div", { class: "choices" }), collections: h("div", { class: "choices" }) };
    this.groups = Object.fromEntries(Object.entries(this.lists).map(([name, list]) =>
      [name, h("fieldset", { class: "group", hidden: true }, h("legend", {}, t(`filters.${name}`)), list)]));
    this.count = h("span", { class: "hint" });
    this.more = h("details", { class: "field more" },
      h("summary", {}, t("filters.title"), " ", this.count),
      h("div", { class: "cloud" }, h("label", { for: "cloud" }, t("filters.cloud")), this.cloudWords, this.cloud,
        h("label", { class: "choice" }, this.unmeasured, h("span", {}, t("filters.unmeasured")))),
      this.groups.platforms, this.groups.collections,
      h("div", {}, h("label", { for: "words" }, t("filters.words")), this.words));
    this.element = this.more;
  }

  /** What there is to choose from, most of it first. */
  learn({ platform_frequency, collection_frequency }, collections) {
    const titles = Object.fromEntries(collections.map((one) => [one.id, titleOf(one, one.id)]));
    const count = Object.fromEntries((collection_frequency?.buckets ?? []).map((one) => [one.key, one.frequency]));
    this.list("platforms", (platform_frequency?.buckets ?? []).map(({ key, frequency }) => [key, key, frequency]));
    this.list("collections", collections.map(({ id }) => [id, titles[id], count[id] ?? 0]).filter(([, , many]) => many > 0));
  }

  list(name, choices) {
    this.groups[name].hidden = choices.length < 2;
    fill(this.lists[name], choices.map(([value, words, many]) => h("label", { class: "choice" },
      h("input", { type: "checkbox", value, on: { change: () => this.chosen(name) } }),
      h("span", {}, words), h("small", {}, number(many)))));
  }

  chosen(name) {
    const boxes = [...this.lists[name].querySelectorAll("input")];
    this.change({ [name]: boxes.filter((box) => box.checked).map((box) => box.value) });
  }

  set(search) {
    this.cloud.value = search.cloud;
    const words = search.cloud >= 100 ? t("filters.any") : t("filters.at_most", { percent: number(search.cloud) });
    this.cloudWords.textContent = words;
    this.cloud.setAttribute("aria-valuetext", words);
    this.unmeasured.checked = search.unmeasured;
    if (document.activeElement !== this.words) this.words.value = search.words;
    for (const [name, list] of Object.entries(this.lists))
      for (const box of list.querySelectorAll("input")) box.checked = search[name].includes(box.value);
    const set = narrowed(search) + (search.unmeasured ? 0 : 1);
    if (this.search === null && set) this.more.open = true;
    this.search = search;
    this.count.textContent = set ? counted("filters.set", set) : "";
  }
}
