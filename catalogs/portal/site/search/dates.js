// When: two dates, a slider with two handles between the first and the last image, and how many there are over time.

import { fill, h } from "../dom.js";
import { day, t } from "../i18n.js";

const DAY_MS = 86_400_000;
const BARS = 48;
const LEAST_DAYS = 120;
const iso = (ms) => new Date(ms).toISOString().slice(0, 10);
const midnight = (text) => Math.floor(Date.parse(text) / DAY_MS) * DAY_MS;

export class DateField {
  constructor(change) {
    this.change = change;
    this.first = this.last = null;
    const date = (name) => h("input", { type: "date", id: `date-${name}`, on: { change: (event) => this.typed(name, event.target) } });
    const handle = (name) => h("input", { type: "range", min: 0, max: 1, step: 1, "aria-label": t(`dates.${name}`),
      on: { input: (event) => this.slid(name, event.target) } });
    this.dates = { from: date("from"), to: date("to") };
    this.handles = { from: handle("from"), to: handle("to") };
    this.bars = h("div", { class: "bars", "aria-hidden": "true" });
    this.track = h("div", { class: "track", "aria-hidden": "true" }, h("i"));
    this.slider = h("div", { class: "slider", hidden: true }, this.bars, this.track, this.handles.from, this.handles.to);
    this.element = h("fieldset", { class: "field" }, h("legend", {}, t("dates.title")),
      h("div", { class: "pair" },
        h("div", {}, h("label", { for: "date-from" }, t("dates.from")), this.dates.from),
        h("div", {}, h("label", { for: "date-to" }, t("dates.to")), this.dates.to)),
      this.slider);
  }

  /** The first and the last day there are images of, and how many in between. */
  learn({ datetime_min, datetime_max, datetime_frequency }) {
    if (!datetime_min?.value || !datetime_max?.value) return;
    this.first = midnight(datetime_min.value);
    this.last = Math.max(midnight(datetime_max.value), this.first + DAY_MS);
    const days = (this.last - this.first) / DAY_MS;
    for (const one of Object.values(this.handles)) one.max = days;
    for (const one of Object.values(this.dates)) Object.assign(one, { min: iso(this.first), max: iso(this.last) });
    // Counts are by month: over less than a few of them they would say nothing.
    if (days >= LEAST_DAYS) this.drawBars(datetime_frequency?.buckets ?? [], days);
    this.slider.classList.toggle("low", days < LEAST_DAYS);
    this.slider.hidden = false;
  }

  drawBars(buckets, days) {
    const counts = new Array(BARS).fill(0);
    for (const { key, frequency } of buckets) {
      // A bucket is a month: its images are taken as spread over it.
      const start = (midnight(key) - this.first) / DAY_MS;
      const [from, to] = [start, start + 30].map((value) => Math.min(Math.max(Math.floor((value / (days + 1)) * BARS), 0), BARS - 1));
      for (let bar = from; bar <= to; bar += 1) counts[bar] += frequency / (to - from + 1);
    }
    const most = Math.max(...counts, 1e-9);
    fill(this.bars, counts.map((count) => {
      const bar = h("i");
      bar.style.height = count ? `${8 + (92 * count) / most}%` : "0";
      return bar;
    }));
  }

  set(search) {
    this.dates.from.value = search.from;
    this.dates.to.value = search.to;
    if (this.first === null) return;
    const days = (this.last - this.first) / DAY_MS;
    const place = (text, otherwise) => (text ? Math.min(Math.max((midnight(text) - this.first) / DAY_MS, 0), days) : otherwise);
    const [from, to] = [place(search.from, 0), place(search.to, days)];
    this.handles.from.value = from;
    this.handles.to.value = to;
    // Where both stand at the end, the one that can still move must lie above.
    this.slider.classList.toggle("at-end", from > days / 2);
    for (const name of ["from", "to"])
      this.handles[name].setAttribute("aria-valuetext", day(this.first + Number(this.handles[name].value) * DAY_MS));
    const [bar] = this.track.children;
    bar.style.left = `${(100 * from) / days}%`;
    bar.style.right = `${100 - (100 * to) / days}%`;
    [...this.bars.children].forEach((one, place_) => {
      const at = ((place_ + 0.5) / BARS) * days;
      one.classList.toggle("out", at < from || at > to);
    });
  }

  typed(name, input) {
    if (input.validity.badInput) return;
    const other = name === "from" ? "to" : "from";
    const changed = { [name]: input.value, [other]: this.dates[other].value };
    // Dates the wrong way round are put right, not refused.
    if (changed.from && changed.to && changed.from > changed.to) changed[other] = input.value;
    this.change(changed);
  }

  slid(name, handle) {
    const other = this.handles[name === "from" ? "to" : "from"];
    const bound = Number(other.value);
    if (name === "from" ? handle.value > bound : handle.value < bound) handle.value = bound;
    const at = Number(handle.value);
    const end = name === "from" ? 0 : Number(handle.max);
    this.change({ [name]: at === end ? "" : iso(this.first + at * DAY_MS) });
  }
}
