"""Figures about all items that match, from the embedded store's tables."""

import sqlite3
from collections.abc import Mapping

from catalogs.store.filters import Sql
from catalogs.store.plan import Plan
from catalogs.store.protocol import AGGREGATIONS, Aggregation, Bucket
from catalogs.store.rows import rfc3339
from processing.model.errors import BadInput

CLOUD_RANGES = ((0.0, 5.0), (5.0, 15.0), (15.0, 40.0), (40.0, None))
"""Percent of cloud: the lower end belongs to a range, the upper does not."""
_SINGLE = {"total_count": "count(*)", "datetime_min": "min(i.starts)", "datetime_max": "max(i.stops)"}
_GROUPED = {
    "collection_frequency": "i.collection",
    "platform_frequency": "json_extract(i.properties, '$.platform')",
    "datetime_frequency": "strftime('%Y-%m-01T00:00:00Z', i.moment / 1000000, 'unixepoch')",
    "cloud_cover_frequency": (
        "CASE WHEN typeof(i.cloud) IN ('integer', 'real') AND i.cloud >= 0"
        " THEN (i.cloud >= 5) + (i.cloud >= 15) + (i.cloud >= 40) END"
    ),
}


def aggregated(connection: sqlite3.Connection, plan: Plan, names: tuple[str, ...]) -> tuple[Aggregation, ...]:
    """The figures of these names, about what a plan finds.

    Raises
    ------
    BadInput
        ``search.aggregation`` for a name that is none of them.
    """
    check_names(names)
    return tuple(_figure(connection, plan, name) for name in names)


def check_names(names: tuple[str, ...]) -> None:
    """Refuse what no store can tell.

    Raises
    ------
    BadInput
        ``search.aggregation`` for a name that is none of ``AGGREGATIONS``.
    """
    unknown = [name for name in names if name not in AGGREGATIONS]
    if unknown:
        raise BadInput(
            f"there is no aggregation '{unknown[0][:80]}'",
            kind="search.aggregation",
            remedy=f"Known: {', '.join(AGGREGATIONS)}.",
        )


def cloud_buckets(found: Mapping[int, int]) -> tuple[Bucket, ...]:
    """How many items lie in each of ``CLOUD_RANGES``, by its number."""
    return tuple(_cloud_bucket(number, found.get(number, 0)) for number in range(len(CLOUD_RANGES)))


def _figure(connection: sqlite3.Connection, plan: Plan, name: str) -> Aggregation:
    if name in _SINGLE:
        question = Sql.join(f"SELECT {_SINGLE[name]} FROM {{}} WHERE {{}}", plan.source, plan.condition)  # noqa: S608
        (value,) = connection.execute(question.text, question.values).fetchone()
        if name == "total_count":
            return Aggregation(name=name, data_type="integer", value=value)
        return Aggregation(name=name, data_type="datetime", value=None if value is None else rfc3339(value))
    question = Sql.join(
        f"SELECT {_GROUPED[name]} AS kind, count(*) FROM {{}} WHERE {{}} GROUP BY kind ORDER BY kind",  # noqa: S608
        plan.source,
        plan.condition,
    )
    rows = [row for row in connection.execute(question.text, question.values) if row[0] is not None]
    if name == "cloud_cover_frequency":
        buckets = cloud_buckets(dict(rows))
    else:
        buckets = tuple(Bucket(key=str(key), frequency=count) for key, count in rows)
    return Aggregation(name=name, data_type="frequency_distribution", buckets=buckets)


def _cloud_bucket(number: int, count: int) -> Bucket:
    start, stop = CLOUD_RANGES[number]
    key = f"{start:g}-{'' if stop is None else f'{stop:g}'}"
    return Bucket(key=key, frequency=count, start=start, stop=stop)
