// Elements by hand. Text is only ever text: nothing here, or anywhere in these files, reads markup from a string.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  rectangle: "M4 6h16v12H4z",
  polygon: "M12 3l8 6-3 11H7L4 9z",
  view: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  type: "M5 6h14M12 6v13M9 19h6",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  home: "M4 11l8-7 8 7M6 10v10h12V10",
  basket: "M4 8h16l-2 11H6zM8 8l4-5 4 5",
  swipe: "M12 3v18M8 8l-4 4 4 4M16 8l4 4-4 4",
  map: "M4 6l5-2 6 2 5-2v14l-5 2-6-2-5 2zM9 4v14M15 6v14",
  list: "M4 6h16M4 12h16M4 18h16",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  copy: "M8 8h11v12H8zM5 16V4h11",
  back: "M11 5l-7 7 7 7M4 12h16",
  check: "M5 12l5 5 9-11",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-2 4 4",
  person: "M12 12a4 4 0 100-8 4 4 0 000 8zM4 21c1-5 4-7 8-7s7 2 8 7",
};

function place(element, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (name === "class") element.className = value;
  else if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
  else if (name === "href" || name === "src") element.setAttribute(name, safeAddress(value));
  else if (name in element && ["value", "checked", "disabled", "open", "hidden", "selected", "indeterminate"].includes(name))
    element[name] = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** An element with attributes, listeners (`on`) and children: elements, texts, lists of them; null is left out. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  for (const [name, value] of Object.entries(attributes ?? {})) place(element, name, value);
  return element;
}

/** An address that is safe to follow: the web's and mail's; whatever else stands in a document leads nowhere. */
export function safeAddress(text) {
  try {
    const found = new URL(String(text), location.href);
    return ["http:", "https:", "mailto:", "tel:"].includes(found.protocol) ? found.href : "about:blank";
  } catch {
    return "about:blank";
  }
}

/** One of the line drawings; decoration only, so that it needs words beside it or a label around it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Put other children into an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A function that runs when there was no further call of it for some milliseconds. */
export function settled(work, wait) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), wait);
  };
}

/** A link that looks and works as a button's neighbour, inside this page. */
export function link(href, words, attributes = {}) {
  return h("a", { href, ...attributes }, words);
}
