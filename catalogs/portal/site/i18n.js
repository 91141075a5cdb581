// Words, numbers and dates in the language of the reader.

export const LANGUAGES = { kk: "Қазақша", ru: "Русский", en: "English" };
const CHOSEN = "qyran.language";

// Browsers that know no Kazakh write its numbers as Russian does, which is how Kazakh writes them too.
const NUMBERS = { kk: "ru" };

let words = {};
let language = "en";
let plurals = new Intl.PluralRules("en");

/** The language that was chosen here before, else the first of the browser's that there is, else the operator's. */
export function wanted(fallback) {
  const kept = remembered();
  if (kept in LANGUAGES) return kept;
  const asked = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in LANGUAGES);
  return asked ?? fallback ?? "en";
}

function remembered() {
  try {
    return localStorage.getItem(CHOSEN);
  } catch {
    return null; // A browser may keep nothing: the choice then lasts as long as the page.
  }
}

/** Speak a language from now on. */
export async function speak(code, { keep = false } = {}) {
  const answer = await fetch(new URL(`messages/${code}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`no words of ${code}`);
  words = await answer.json();
  language = code;
  plurals = new Intl.PluralRules(code);
  document.documentElement.lang = code;
  if (!keep) return;
  try {
    localStorage.setItem(CHOSEN, code);
  } catch {
    // As above.
  }
}

export const spoken = () => language;

/** A message, with {names} replaced. */
export function t(key, values = {}) {
  const found = words[key] ?? key;
  return found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** A message whether it is there or not: names that come from elsewhere, such as states, may be new. */
export const known = (key, otherwise) => words[key] ?? otherwise;

/** A message about a number of things, in the form that the language wants for it. */
export function counted(key, count) {
  const form = `${key}.${plurals.select(count)}`;
  return t(form in words ? form : `${key}.other`, { n: number(count) });
}

export const number = (value, options = {}) => new Intl.NumberFormat(NUMBERS[language] ?? language, options).format(value);

/** Bytes as people say them. */
export function bytes(count) {
  if (!Number.isFinite(count)) return "";
  const step = count < 1000 ? 0 : Math.min(Math.floor(Math.log10(count) / 3), 4);
  const value = count / 1000 ** step;
  return `${number(value, { maximumFractionDigits: value < 10 && step ? 1 : 0 })} ${t(`unit.bytes.${step}`)}`;
}

/** Square kilometres. */
export const area = (km2) => `${number(km2, { maximumFractionDigits: km2 < 10 ? 2 : 0 })} ${t("unit.km2")}`;

/** The day of a moment in time, by UTC, as the catalogue counts. */
export const day = (moment) => written(moment, { dateStyle: "medium" });

/** Day and minute of a moment, by UTC. */
export const minute = (moment) => {
  const text = written(moment, { dateStyle: "medium", timeStyle: "short" });
  return text && `${text} UTC`;
};

function written(moment, options) {
  const date = new Date(moment);
  if (moment === null || moment === undefined || Number.isNaN(date.getTime())) return "";
  if (language === "kk") return inKazakh(date, options);
  return new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, { ...options, timeZone: "UTC" }).format(date);
}

/** As Kazakh writes a date; Chromium's own library has no Kazakh and would write 2026 M05 22. */
function inKazakh(date, { timeStyle }) {
  const months = t("date.months").split(" ");
  const text = `${date.getUTCFullYear()} ж. ${date.getUTCDate()} ${months[date.getUTCMonth()]}`;
  return timeStyle ? `${text}, ${date.toISOString().slice(11, 16)}` : text;
}

/** An item's or a layer's title in this language, if it has one. */
export const titleOf = (document, otherwise) => document?.["qyran:titles"]?.[language] ?? document?.title ?? otherwise;
