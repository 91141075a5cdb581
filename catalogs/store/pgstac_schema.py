"""What Qyran lays over a pgstac database: one correction, functions, indexes, and what pgstac has no room for."""

import json
import sys
import unicodedata
from collections.abc import Iterator
from itertools import batched
from typing import Any

from psycopg import Connection

from catalogs.policy.terms import doubts
from catalogs.store.words import item_words
from processing.model.errors import Defect

VERSION = 4
PGSTAC = "0.10.0"
_LOCK = 7_141_923
"""Number of the advisory lock under which a database is prepared."""
_BATCH = 2_000

# A bbox with heights became a box of six faces, which no predicate of PostGIS takes: every search with one failed as
# soon as an item lay in the area. Heights say nothing about footprints.
_FLAT_BOX = """
CREATE OR REPLACE FUNCTION pgstac.bbox_geom(_bbox jsonb) RETURNS geometry AS $$
SELECT CASE jsonb_array_length(_bbox)
    WHEN 4 THEN ST_MakeEnvelope((_bbox->>0)::float, (_bbox->>1)::float, (_bbox->>2)::float, (_bbox->>3)::float, 4326)
    WHEN 6 THEN ST_MakeEnvelope((_bbox->>0)::float, (_bbox->>1)::float, (_bbox->>3)::float, (_bbox->>4)::float, 4326)
END
$$ LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE
"""

_TABLES = """
CREATE SCHEMA qyran;
CREATE TABLE qyran.schema_version (version integer NOT NULL);
CREATE TABLE qyran.extents (
    collection text PRIMARY KEY REFERENCES pgstac.collections (id) ON DELETE CASCADE, items bigint NOT NULL DEFAULT 0,
    first timestamptz, last timestamptz, west float8, south float8, east float8, north float8
);
CREATE TABLE qyran.versions (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, collection text NOT NULL, id text NOT NULL,
    version text NOT NULL, item jsonb NOT NULL, UNIQUE (collection, id, version)
);
CREATE TABLE qyran.folds (sign text COLLATE "C" PRIMARY KEY, folded text NOT NULL);
CREATE TABLE qyran.marks (signs text NOT NULL);
"""

_FUNCTIONS = """
CREATE FUNCTION qyran.number(value jsonb) RETURNS float8 AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'number' THEN value::float8 WHEN 'boolean' THEN value::boolean::int::float8 END
$$ LANGUAGE SQL IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION qyran.word(value jsonb) RETURNS text AS $$
    SELECT CASE WHEN jsonb_typeof(value) IN ('string', 'array', 'object') THEN value #>> '{}' END
$$ LANGUAGE SQL IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION qyran.moment(value jsonb) RETURNS timestamptz AS $$
DECLARE
    said text := upper(qyran.word(value));
BEGIN
    IF jsonb_typeof(value) = 'number' THEN
        RETURN 'epoch'::timestamptz + value::float8 * interval '1 microsecond';
    ELSIF said ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$' THEN
        -- Finer digits are cut off, and the second that leaps is the one before it.
        said := regexp_replace(said, '([.][0-9]{6})[0-9]+', '\\1');
        RETURN regexp_replace(said, '^(.{17})60', '\\1' || '59')::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$ LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET timezone = 'UTC' SET datestyle = 'ISO';
CREATE FUNCTION qyran.text_like(value text, pattern text) RETURNS boolean AS $$
    -- A backslash at the end escapes nothing: it stands for itself.
    SELECT value LIKE CASE WHEN pattern ~ '^([^\\\\]|\\\\.)*\\\\$' THEN pattern || '\\' ELSE pattern END
$$ LANGUAGE SQL IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION qyran.casei(value text) RETURNS text AS $$
    SELECT CASE WHEN value ~ '^[\\x01-\\x7f]*$' THEN lower(value COLLATE "C") ELSE (
        SELECT string_agg(coalesce(f.folded, c.sign), '' ORDER BY c.place)
        FROM string_to_table(value, NULL) WITH ORDINALITY AS c (sign, place)
        LEFT JOIN qyran.folds AS f ON f.sign = c.sign COLLATE "C") END
$$ LANGUAGE SQL STABLE PARALLEL SAFE;
CREATE FUNCTION qyran.accenti(value text) RETURNS text AS $$
    SELECT CASE WHEN value ~ '^[\\x01-\\x7f]*$' THEN value
        ELSE normalize(translate(normalize(value, NFD), (SELECT signs FROM qyran.marks), ''), NFC) END
$$ LANGUAGE SQL STABLE PARALLEL SAFE;
CREATE FUNCTION qyran.remainder(one float8, other float8) RETURNS float8 AS $$
    SELECT one - other * trunc(one / nullif(other, 0))
$$ LANGUAGE SQL IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION qyran.power(one float8, other float8) RETURNS float8 AS $$
BEGIN
    RETURN power(one, other);
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$ LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION qyran.flat(value jsonb) RETURNS boolean AS $$
    SELECT jsonb_typeof(value) = 'array'
        AND NOT jsonb_path_exists(value, 'strict $[*] ? (@.type() == "array" || @.type() == "object")')
$$ LANGUAGE SQL IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION qyran.array_equals(one jsonb, other jsonb) RETURNS boolean AS $$
    SELECT CASE WHEN jsonb_typeof(one) = 'array' AND jsonb_typeof(other) = 'array' THEN one = other END
$$ LANGUAGE SQL IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION qyran.array_contains(one jsonb, other jsonb) RETURNS boolean AS $$
    SELECT CASE WHEN qyran.flat(one) AND qyran.flat(other) THEN one @> other END
$$ LANGUAGE SQL IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION qyran.array_containedby(one jsonb, other jsonb) RETURNS boolean AS $$
    SELECT qyran.array_contains(other, one)
$$ LANGUAGE SQL IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION qyran.array_overlaps(one jsonb, other jsonb) RETURNS boolean AS $$
    SELECT CASE WHEN qyran.flat(one) AND qyran.flat(other)
        THEN EXISTS (SELECT 1 FROM jsonb_array_elements(one) AS e WHERE other @> jsonb_build_array(e.value)) END
$$ LANGUAGE SQL IMMUTABLE PARALLEL SAFE;
"""

# Of the parent table: partitions that come later get them too.
_INDEXES = """
CREATE INDEX qyran_by_moment ON pgstac.items
    (((private->>'moment')::bigint) DESC, (collection COLLATE "C"), (id COLLATE "C"));
CREATE INDEX qyran_by_id ON pgstac.items ((id COLLATE "C"));
CREATE INDEX qyran_by_name ON pgstac.items ((collection COLLATE "C"), (id COLLATE "C"));
CREATE INDEX qyran_by_cloud ON pgstac.items (qyran.number(content->'properties'->'eo:cloud_cover'));
CREATE INDEX qyran_by_word ON pgstac.items USING gin (string_to_array(private->>'words', ' '));
"""
# What a collection covers for somebody is found from its edges: its own indexes know places and beginnings.
_ENDS = "CREATE INDEX IF NOT EXISTS qyran_by_end ON pgstac.items (end_datetime)"


def version(connection: Connection[Any]) -> int | None:
    """Version of our part of a database; None where it has none."""
    found = connection.execute("SELECT to_regclass('qyran.schema_version')").fetchone()
    if found is None or found[0] is None:
        return None
    row = connection.execute("SELECT version FROM qyran.schema_version").fetchone()
    return None if row is None else int(row[0])


def prepare(connection: Connection[Any], url: str) -> None:
    """Make a database ready, once; whoever comes second waits and finds it so.

    Parameters
    ----------
    connection
        In autocommit.
    url
        Of the same database, for pgstac's own migration.

    Raises
    ------
    Defect
        ``catalogue.version`` if a newer Qyran made it.
    """
    if version(connection) != VERSION:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        try:
            there = version(connection)
            if there is None:
                _migrate_pgstac(connection, url)
            with connection.transaction():
                if there is None:
                    _install(connection)
                elif there < VERSION:
                    if there == 1:
                        _say_anew(connection)
                    if there < 3:
                        _doubt_anew(connection)
                    connection.execute(_ENDS)
                    connection.execute("UPDATE qyran.schema_version SET version = %s", (VERSION,))
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
    found = version(connection)
    if found != VERSION:
        raise Defect(
            f"the catalogue has schema {found}, and this Qyran knows up to {VERSION}",
            kind="catalogue.version",
            remedy="Use the Qyran that wrote it, or a newer one.",
        )


def _migrate_pgstac(connection: Connection[Any], url: str) -> None:
    found = connection.execute("SELECT to_regclass('pgstac.migrations')").fetchone()
    if found is not None and found[0] is not None:
        row = connection.execute("SELECT version FROM pgstac.migrations ORDER BY datetime DESC LIMIT 1").fetchone()
        if row is not None and row[0] == PGSTAC:
            return
    # It brings much with it, and is wanted once in a database's life.
    from pypgstac.db import PgstacDB
    from pypgstac.migrate import Migrate

    with PgstacDB(dsn=url) as database:
        Migrate(database).run_migration(PGSTAC)
        pool = database.pool
    if pool is not None:
        pool.close()


def _install(connection: Connection[Any]) -> None:
    for statements in (_FLAT_BOX, _TABLES, _FUNCTIONS, _INDEXES, _ENDS):
        connection.execute(statements.encode())
    with connection.cursor() as cursor, cursor.copy("COPY qyran.folds (sign, folded) FROM STDIN") as copy:
        for row in _folds():
            copy.write_row(row)
    connection.execute("INSERT INTO qyran.marks VALUES (%s)", ("".join(_marks()),))
    connection.execute("INSERT INTO qyran.schema_version VALUES (%s)", (VERSION,))


def _say_anew(connection: Connection[Any]) -> None:
    """Version 1 knew titles in one language only."""
    with connection.cursor(name="qyran_words") as reader, connection.cursor() as writer:
        reader.itersize = _BATCH
        reader.execute("SELECT collection, id, content->'properties' FROM pgstac.items")
        for rows in batched(reader, _BATCH):
            names = [[row[side] for row in rows] for side in (0, 1)]
            words = [item_words(item_id, collection, properties) for collection, item_id, properties in rows]
            writer.execute(
                "UPDATE pgstac.items AS i SET private = i.private || jsonb_build_object('words', n.words)"
                " FROM unnest(%s::text[], %s::text[], %s::text[]) AS n (collection, id, words)"
                " WHERE i.collection = n.collection AND i.id = n.id",
                (*names, words),
            )


def _doubt_anew(connection: Connection[Any]) -> None:
    """Version 2 believed what items say of themselves."""
    with connection.cursor(name="qyran_doubts") as reader, connection.cursor() as writer:
        reader.itersize = _BATCH
        reader.execute("SELECT collection, id, content FROM pgstac.items")
        for collection, item_id, content in reader:
            if found := doubts(content):
                writer.execute(
                    "UPDATE pgstac.items SET private = private || jsonb_build_object('doubts', %s::jsonb)"
                    " WHERE collection = %s AND id = %s",
                    (json.dumps(found), collection, item_id),
                )


def _folds() -> Iterator[tuple[str, str]]:
    """Every sign that is another without case: PostgreSQL knows small letters, which is not the same."""
    return ((sign, sign.casefold()) for sign in _signs() if sign.casefold() != sign)


def _marks() -> Iterator[str]:
    return (sign for sign in _signs() if unicodedata.combining(sign))


def _signs() -> Iterator[str]:
    return (chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
