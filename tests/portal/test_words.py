"""Every message in every language: none missing, none too many, each with the same names to fill in."""

import json
import re
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[2] / "catalogs" / "portal" / "site"
FORMS = {"kk": {"one", "other"}, "ru": {"one", "few", "many", "other"}, "en": {"one", "other"}}
FORM = re.compile(r"\.(one|few|many|other)$")
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(SITE.rglob("*.js"))}


def words(language: str) -> dict[str, str]:
    return json.loads((SITE / "messages" / f"{language}.json").read_text(encoding="utf-8"))


def counted(language: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for key in words(language):
        if match := FORM.search(key):
            found.setdefault(key[: match.start()], set()).add(match[1])
    return found


def plain(language: str) -> set[str]:
    return {key for key in words(language) if not FORM.search(key)}


@pytest.mark.parametrize("language", ["kk", "ru"])
def test_languages_have_the_same_messages(language):
    assert plain(language) == plain("en")
    assert set(counted(language)) == set(counted("en"))


@pytest.mark.parametrize("language", FORMS)
def test_numbers_have_every_form_of_the_language(language):
    assert {key: forms for key, forms in counted(language).items() if forms != FORMS[language]} == {}


@pytest.mark.parametrize("language", ["kk", "ru"])
def test_messages_fill_in_the_same_names(language):
    def names(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    there, english = words(language), words("en")
    wrong = {
        key: text for key, text in there.items()
        if names(text) != names(english.get(key, english.get(FORM.sub(".other", key), "")))
    }  # fmt: skip
    assert wrong == {}


@pytest.mark.parametrize("language", FORMS)
def test_no_message_is_empty_or_left_in_another_script(language):
    same = {"Zarr v3"}
    for key, text in words(language).items():
        assert text.strip(), key
        if language != "en" and len(text) > 3 and text not in same:
            assert re.search("[А-Яа-яЁёӘәҒғҚқҢңӨөҰұҮүҺһІі]", text), key


def test_every_message_that_is_asked_for_is_there_and_every_one_there_is_asked_for():
    text = "\n".join(SOURCES.values())
    literal = set(re.findall(r'["`]([a-z_]+(?:\.[a-z_0-9]+)+)["`]', text))
    patterns = {re.escape(one).replace(r"\$\{\}", ".+") for one in (
        re.sub(r"\$\{[^}]*\}", "${}", found) for found in re.findall(r"`([a-z_]+\.[a-z_.]*\$\{[^`]+\}[a-z_.]*)`", text)
    )}  # fmt: skip
    known = plain("en") | set(counted("en"))
    rooms = {key.split(".")[0] for key in known}
    asked = {
        key for key in literal if key.split(".")[0] in rooms and not key.endswith((".js", ".mjs", ".json", ".svg"))
    }
    assert asked - known == set()
    unasked = {key for key in known if key not in asked and not any(re.fullmatch(pattern, key) for pattern in patterns)}
    assert unasked == set()


def test_flags_of_quality_and_states_of_orders_all_have_words():
    from catalogs.delivery.order import OrderState
    from catalogs.policy.terms import CustomerClass, Effect
    from processing.model.qa import Qa

    known = plain("en")
    flags = {f"flag.{flag.name.lower()}" for flag in Qa if not flag.name.endswith("_NOT_TESTED")}
    states = {f"{room}.{state.value}" for state in OrderState for room in ("state", "standing")}
    effects = {f"decision.{effect.value}" for effect in Effect}
    assert flags | states | effects | {f"class.{one.value}" for one in CustomerClass} <= known
