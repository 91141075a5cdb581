"""Figures about all items that match, from pgstac's tables."""

from typing import Any

from psycopg import Connection

from catalogs.store.aggregate import check_names, cloud_buckets
from catalogs.store.filters import Sql
from catalogs.store.pgstac_filters import MOMENT
from catalogs.store.protocol import Aggregation, Bucket

_SINGLE = {"total_count": "count(*)", "datetime_min": "min(i.datetime)", "datetime_max": "max(i.end_datetime)"}
_CLOUD = "qyran.number(i.content->'properties'->'eo:cloud_cover')"
_GROUPED = {
    "collection_frequency": "i.collection",
    "platform_frequency": "i.content->'properties'->>'platform'",
    "datetime_frequency": f'to_char(to_timestamp({MOMENT} / 1000000), \'YYYY-MM-01"T"00:00:00"Z"\')',
    "cloud_cover_frequency": f"CASE WHEN {_CLOUD} >= 0 THEN width_bucket({_CLOUD}, ARRAY[5, 15, 40]::float8[]) END",
}


def aggregated(connection: Connection[Any], condition: Sql, names: tuple[str, ...]) -> tuple[Aggregation, ...]:
    """The figures of these names, about the items for which a condition holds.

    Raises
    ------
    BadInput
        ``search.aggregation`` for a name that is none of them.
    """
    check_names(names)
    return tuple(_figure(connection, condition, name) for name in names)


def _figure(connection: Connection[Any], condition: Sql, name: str) -> Aggregation:
    if name in _SINGLE:
        query = f"SELECT {_SINGLE[name]} FROM pgstac.items AS i WHERE {condition.text}"  # noqa: S608 - our names
        row = connection.execute(query.encode(), condition.values).fetchone()
        value = None if row is None else row[0]
        if name == "total_count":
            return Aggregation(name=name, data_type="integer", value=value)
        told = None if value is None else value.isoformat().replace("+00:00", "Z")
        return Aggregation(name=name, data_type="datetime", value=told)
    query = (
        f"SELECT {_GROUPED[name]} AS kind, count(*) FROM pgstac.items AS i"  # noqa: S608 - our names
        f" WHERE {condition.text} GROUP BY kind"
    )
    found = dict(row for row in connection.execute(query.encode(), condition.values).fetchall() if row[0] is not None)
    if name == "cloud_cover_frequency":
        buckets = cloud_buckets(found)
    else:
        buckets = tuple(Bucket(key=str(key), frequency=found[key]) for key in sorted(found))
    return Aggregation(name=name, data_type="frequency_distribution", buckets=buckets)
