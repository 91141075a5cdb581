// Questions to the server, and what goes wrong with them in plain words.

import { known, t } from "./i18n.js";

const PATIENCE_MS = 60_000;

/** An answer that is none. `words` say to a person what happened. */
export class Failure extends Error {
  constructor(kind, { status = 0, said = "", wait = 0 } = {}) {
    super(said || kind);
    Object.assign(this, { kind, status, said, wait });
  }

  get words() {
    if (this.status === 429) return t("error.too_many", { seconds: this.wait || 1 });
    const ours = known(`error.${this.kind}`) ?? (this.status >= 500 ? t("error.server") : undefined);
    return ours ?? (this.said ? t("error.said", { words: this.said }) : t("error.server"));
  }
}

/** JSON from the server. Throws a Failure, or an AbortError when the caller gave up. */
export async function ask(path, { method = "GET", body, signal, headers = {} } = {}) {
  const answer = await reach(path, { method, body, signal, headers });
  if (answer.status === 204) return null;
  if (!answer.ok) throw await failure(answer);
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("garbled", { status: answer.status });
  }
}

async function reach(path, { method, body, signal, headers }) {
  const limit = AbortSignal.timeout(PATIENCE_MS);
  const options = { method, signal: signal ? AbortSignal.any([signal, limit]) : limit, headers: { ...headers } };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(error.name === "TimeoutError" ? "slow" : "network");
  }
}

async function failure(answer) {
  const told = await answer.json().catch(() => ({}));
  const wait = Number(answer.headers.get("Retry-After")) || 0;
  const said = typeof told.description === "string" ? told.description : "";
  const kind = answer.status === 401 ? "sign_in" : answer.status === 404 ? "not_found" : String(told.code ?? "server");
  return new Failure(kind, { status: answer.status, said, wait });
}

const part = encodeURIComponent;

/** The path of an address of this server, so that it is asked under the name that the page came by. */
export function local(href) {
  const found = new URL(href, location.href);
  return found.pathname + found.search;
}

export const paths = {
  item: ({ collection, id, version }) =>
    `/stac/collections/${part(collection)}/items/${part(id)}` + (version ? `/versions/${part(version)}` : ""),
  tiles: ({ collection, id, version }) => `/tiles/${part(collection)}/${part(version ? `${id}@${version}` : id)}`,
  page: ({ collection, id, version }) =>
    `/item/${part(collection)}/${part(id)}` + (version ? `?version=${part(version)}` : ""),
};

/** What pictures there are of an item. Where its links, if they were asked for, name no map, there is none. */
export async function layersOf(item, named, signal) {
  if (item.links?.some((one) => one.rel === "wmts") === false) throw new Failure("no_picture");
  const found = await ask(paths.tiles(named), { signal });
  if (!found.layers.length) throw new Failure("no_picture");
  return found;
}

/** What the operator set about this page; the plainest where that cannot be had. */
export async function settings() {
  const plain = { title: "Qyran", start: [46, 40, 88, 56], world_borders: true, overlays: [] };
  try {
    return await ask("/portal/settings.json");
  } catch {
    return plain;
  }
}
