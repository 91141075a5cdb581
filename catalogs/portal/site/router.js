// Which view an address stands for, and going from one to another without loading the page anew.

const ROUTES = [
  ["search", /^\/$/],
  ["item", /^\/item\/([^/]+)\/([^/]+)$/],
  ["compare", /^\/compare$/],
  ["basket", /^\/basket$/],
  ["orders", /^\/my-orders$/],
  ["order", /^\/my-orders\/([^/]+)$/],
  ["desk", /^\/desk$/],
  ["decision", /^\/desk\/([^/]+)$/],
  ["report", /^\/report$/],
  ["account", /^\/account$/],
];
let arrive = () => {};
let steps = 0;
let left = null;

/** The view of an address: its name, the parts of its path, and its query; null if it is none of this page's. */
export function viewOf(address) {
  for (const [name, pattern] of ROUTES) {
    const found = pattern.exec(address.pathname);
    if (found) return { name, parts: found.slice(1).map(decoded), query: address.searchParams };
  }
  return null;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const here = () => viewOf(new URL(location.href)) ?? { name: "search", parts: [], query: new URLSearchParams() };

/** The address that the way led from to this one; null where it did not begin on this page. */
export const before = () => left;

/** Go to an address of this page. */
export function go(path, { replace = false, quiet = false } = {}) {
  if (!quiet) left = location.pathname + location.search;
  if (replace) history.replaceState(history.state, "", path);
  else {
    history.pushState(null, "", path);
    steps += 1;
  }
  if (!quiet) arrive(here());
}

/** One step back if there is one inside this page, else to an address. */
export function back(otherwise) {
  if (steps > 0) history.back();
  else go(otherwise);
}

/** Hear of every arrival at an address, by link, by button or by history. */
export function start(hear) {
  arrive = hear;
  addEventListener("popstate", () => {
    steps = Math.max(steps - 1, 0);
    left = null;
    arrive(here());
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button !== 0 || link.target || link.hasAttribute("download")) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const address = new URL(link.href);
    if (address.origin !== location.origin || address.hash || !viewOf(address)) return;
    event.preventDefault();
    if (address.href !== location.href) go(address.pathname + address.search);
  });
  arrive(here());
}
