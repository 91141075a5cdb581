"""A lineage's digest stands for all of it: whatever changes, changes it, and the change has a name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.model.lineage import InputRecord, Lineage, changes

NAMES = st.text("abcdefghij-_.0123456789", min_size=1, max_size=8)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
RECORDS = st.builds(
    InputRecord, role=st.sampled_from(["package", "dem", "geoid", "sensor"]), name=NAMES, sha256=DIGESTS
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
LINEAGES = st.builds(
    Lineage,
    recipe=NAMES,
    recipe_version=NAMES,
    inputs=st.lists(RECORDS, max_size=5).map(tuple),
    parameters=st.dictionaries(NAMES, VALUES, max_size=4),
    software=st.dictionaries(NAMES, NAMES, max_size=4),
)


@given(LINEAGES, LINEAGES)
def test_two_lineages_differ_in_something_named_or_are_one(one: Lineage, other: Lineage) -> None:
    found = changes(one, other)
    assert (not found) == (one.digest == other.digest)
    kinds = [change.kind for change in found]
    assert kinds == sorted(kinds, key=["software", "recipe", "input", "parameter"].index), "software comes first"


@given(LINEAGES)
def test_it_survives_its_journey_through_files_to_the_last_digit(lineage: Lineage) -> None:
    again = Lineage.model_validate_json(lineage.model_dump_json(indent=1))
    assert again.digest == lineage.digest
    assert changes(lineage, again) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"software": {"numpy": "2.6"}}, "software numpy: 2.5 -> 2.6"),
        ({"software": {}}, "software numpy: 2.5 -> none"),
        ({"recipe_version": "2"}, "recipe version: 1 -> 2"),
        (
            {"inputs": (InputRecord(role="dem", name="a.tif", sha256="b" * 64),)},
            f"input dem a.tif: {'a' * 16} -> {'b' * 16}",
        ),
        ({"parameters": {"grid": {"shape": [2, 4]}}}, "parameter grid.shape: [2, 3] -> [2, 4]"),
    ],
)
def test_changes_are_told_in_words(change: dict[str, Any], words: str) -> None:
    was = Lineage(
        recipe="l1c",
        recipe_version="1",
        inputs=(InputRecord(role="dem", name="a.tif", sha256="a" * 64),),
        parameters={"grid": {"shape": [2, 3]}},
        software={"numpy": "2.5"},
    )
    assert [str(each) for each in changes(was, was.model_copy(update=change))] == [words]


def test_a_parent_of_another_revision_is_a_change_and_not_another_parent() -> None:
    def of(revision: str, digest: str) -> Lineage:
        parent = InputRecord(role="parent", name=f"k-l1c/X@{revision}", sha256=digest * 64)
        return Lineage(recipe="ndvi", recipe_version="1", inputs=(parent,), parameters={}, software={})

    found = changes(of("aa", "a"), of("bb", "b"))
    assert [str(change) for change in found] == [f"input parent k-l1c/X: {'a' * 16} -> {'b' * 16}"]
