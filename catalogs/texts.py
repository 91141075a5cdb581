"""Texts in the languages of those who read them: Kazakh, Russian, English."""

from collections.abc import Mapping
from typing import Any

from configs.schema import MissionConfig, RecipeConfig

LANGUAGES: Mapping[str, Mapping[str, str]] = {
    "kk": {"code": "kk", "name": "Қазақша"},
    "ru": {"code": "ru", "name": "Русский"},
    "en": {"code": "en", "name": "English"},
}
"""By code, in the words of STAC's language extension."""
MAIN = "en"
"""What documents are written in where they can be written in one language only."""


def titles(mission: MissionConfig, recipe: RecipeConfig) -> dict[str, str]:
    """Title of a mission's product by language; in English what the configuration has not in a language."""
    return {
        language: ": ".join(title.get(language) or title[MAIN] for title in (mission.title, recipe.title))
        for language in LANGUAGES
    }


def descriptions(mission: MissionConfig, recipe: RecipeConfig) -> dict[str, str]:
    """Two paragraphs on a mission's product by language: what took the images, and what was made of them."""
    return {
        language: "\n\n".join(_description(config, language) for config in (mission, recipe)) for language in LANGUAGES
    }


def spoken(titles: Mapping[str, str], descriptions: Mapping[str, str]) -> dict[str, Any]:
    """Fields of a document that is written in English and holds title and description in the others, too."""
    return {
        "title": titles[MAIN],
        "description": descriptions[MAIN],
        "language": dict(LANGUAGES[MAIN]),
        "languages": [dict(language) for code, language in LANGUAGES.items() if code != MAIN],
        "qyran:titles": dict(titles),
        "qyran:descriptions": dict(descriptions),
    }


def _description(config: MissionConfig | RecipeConfig, language: str) -> str:
    texts: dict[str, str] = dict(config.descriptions.items())
    return " ".join((texts.get(language) or config.description).split())


def statements(recipe: RecipeConfig) -> dict[str, str]:
    """What a recipe does, by language."""
    return {language: _description(recipe, language) for language in LANGUAGES}
