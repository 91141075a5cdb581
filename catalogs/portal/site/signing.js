// Signing in with a token, and out again.

import { Failure, ask } from "./api.js";
import { fill, h } from "./dom.js";
import { known, t } from "./i18n.js";
import * as router from "./router.js";

export async function show(page, place) {
  const element = h("article", { class: "item narrow" });
  // Who is asked to sign in is led on, and who does so of his own accord back to what he was looking at.
  const next = place.query.get("next") ?? router.before();
  const draw = () => fill(element, page.account.signedIn ? inside(page, draw) : outside(page, draw, next));
  await page.account.learn();
  draw();
  return { element, title: t("account.title") };
}

/** The whole page anew, as somebody else sees it. */
function renew(page) {
  page.kept = {};
}

function inside(page, draw) {
  const { who } = page.account;
  const error = h("p", { class: "wrong", role: "alert" });
  const out = h("button", { type: "button", class: "plain", on: { click: async () => {
    try {
      await page.account.signOut();
      renew(page);
      draw();
    } catch (failed) {
      if (!(failed instanceof Failure)) throw failed;
      error.textContent = failed.words;
    }
  } } }, t("account.sign_out"));
  return [
    h("h1", {}, who.name),
    h("p", { class: "words" }, who.operator ? t("account.operator") : known(`class.${who.class}`, who.class ?? "")),
    h("p", {}, h("a", { href: "/my-orders" }, t("head.orders"))), out, error,
  ];
}

function outside(page, draw, next) {
  const { password, oidc } = page.account.who?.sign_in ?? {};
  const enter = async (proof) => {
    await page.account.signIn(proof);
    renew(page);
    if (next?.startsWith("/") && !next.startsWith("//")) router.go(next, { replace: true });
    else draw();
  };
  const contact = page.settings.contact;
  const address = contact?.includes("@") ? `mailto:${contact}` : `tel:${contact}`;
  return [
    h("h1", {}, t("account.title")), h("p", { class: "words" }, t("account.words")),
    oidc ? h("p", {}, h("a", { class: "button", href: oidc.href }, t("account.with", { provider: oidc.title }))) : null,
    form([["token", "password", "current-password"]], "account.help", enter),
    password ? h("details", {}, h("summary", {}, t("account.by_password")),
      form([["name", "text", "username"], ["password", "password", "current-password"]], null, enter)) : null,
    contact ? h("p", { class: "hint" }, t("account.contact"), " ", h("a", { href: address }, contact)) : null,
  ];
}

/** Fields that prove who somebody is, and a button. */
function form(fields, help, enter) {
  const first = fields[0][0];
  const error = h("p", { class: "wrong", id: `${first}-error`, role: "alert" });
  const inputs = Object.fromEntries(fields.map(([name, type, autocomplete]) => [name, h("input", {
    type, id: `sign-${name}`, name, autocomplete, required: true, spellcheck: "false", autocapitalize: "none",
    "aria-describedby": [help ? `${first}-help` : "", `${first}-error`].join(" ").trim(),
  })]));
  const button = h("button", { type: "submit", class: "main" }, t("account.sign_in"));
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    error.textContent = "";
    try {
      await enter(Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value.trim()])));
    } catch (failed) {
      if (!(failed instanceof Failure)) throw failed;
      error.textContent = failed.status === 401 ? t("account.wrong") : failed.words;
      inputs[first].focus();
    } finally {
      button.disabled = false;
    }
  };
  return h("form", { class: "form", on: { submit } },
    fields.map(([name]) => [h("label", { for: `sign-${name}` }, t(`account.${name}`)), inputs[name]]),
    help ? h("p", { class: "hint", id: `${first}-help` }, t(help)) : null, error, button);
}

/** For views that only somebody who has signed in can use. */
export const pleaseSignIn = (next) => h("div", { class: "notice" }, h("p", {}, t("account.needed")),
  h("a", { class: "button", href: `/account?next=${encodeURIComponent(next)}` }, t("account.sign_in")));

/** What only somebody who has signed in may ask; null, and words in the element, where the answer is none. */
export async function asked(element, path, options, next) {
  try {
    return await ask(path, options);
  } catch (error) {
    if (error.name === "AbortError") return null;
    if (!(error instanceof Failure)) throw error;
    fill(element, error.status === 401 ? pleaseSignIn(next)
      : h("div", { class: "notice bad", role: "alert" }, h("p", {}, error.kind === "not_found" ? t("orders.not_found") : error.words)));
    return null;
  }
}
