"""Why a package ended as it did: stable codes, what each means, and what to do. Runs, pages and the runbook read this.

The table is ``pipelines/reasons.yaml``. A code that it does not list by itself belongs to the family that its first
word names: ``xml.depth`` is of ``xml``.
"""

from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, RootModel
from ruamel.yaml import YAML

ALREADY_PUBLISHED = "already_published"
ID_CONFLICT = "id.conflict"
UPGRADED, BETTER_PUBLISHED = "scene.upgraded", "scene.better_published"
INPUTS_NOT_KEPT = "inputs_not_kept"
RUN_CANCELLED, RUN_CRASHED = "run.cancelled", "run.crashed"


class Reason(BaseModel):
    """One code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Literal["published", "held", "rejected", "quarantined", "failed"]
    """What a package ends as that has it."""
    state: str | None = None
    """What Prefect's pages call the state of such a run; None: by its outcome."""
    means: str
    do: str


class _Table(RootModel[dict[str, Reason]]):
    pass


@cache
def reasons() -> dict[str, Reason]:
    """The table, by code; families by their word."""
    text = (files("pipelines") / "reasons.yaml").read_text(encoding="utf-8")
    return _Table.model_validate(YAML(typ="safe").load(text)).root


def reason(code: str) -> Reason | None:
    """What a code means: its own line, else its family's; None for one that is unknown."""
    table = reasons()
    return table.get(code) or table.get(code.partition(".")[0])


_HEADINGS = {
    "published": "Published, and yet something to know",
    "held": "Held: it waits for you",
    "rejected": "Rejected: sound, but nothing is or may be made of it",
    "quarantined": "Quarantined: the package is at fault",
    "failed": "Failed: our fault, or the machine's",
}


def runbook_tables() -> dict[str, str]:
    """The runbook's tables in Markdown, by their heading: all codes, by what a package ends as."""
    tables = {}
    for outcome, heading in _HEADINGS.items():
        rows = [
            f"| `{code}` | {line.state or ''} | {line.means} | {line.do} |"
            for code, line in reasons().items()
            if line.outcome == outcome
        ]
        tables[heading] = "\n".join(["| code | state | what it means | what to do |", "|---|---|---|---|", *rows])
    return tables


if __name__ == "__main__":
    for heading, table in runbook_tables().items():
        print(f"## {heading}\n\n{table}\n")  # noqa: T201
