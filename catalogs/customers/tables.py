"""The tables of the customers' database."""

from catalogs.private_database import Schema

_TABLES = """
CREATE TABLE customers (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, class TEXT NOT NULL, country TEXT, region TEXT,
    clearance INTEGER NOT NULL, legal_name TEXT, tax_id TEXT, email TEXT, officer INTEGER NOT NULL,
    status TEXT NOT NULL, password TEXT, created INTEGER NOT NULL) STRICT;
CREATE TABLE contracts (
    customer TEXT NOT NULL REFERENCES customers (id), number TEXT NOT NULL, starts INTEGER NOT NULL, ends INTEGER,
    note TEXT, PRIMARY KEY (customer, number)) STRICT, WITHOUT ROWID;
CREATE TABLE licences (
    customer TEXT NOT NULL REFERENCES customers (id), licence TEXT NOT NULL, version TEXT NOT NULL,
    accepted INTEGER NOT NULL, accepted_by TEXT NOT NULL, withdrawn INTEGER,
    PRIMARY KEY (customer, licence, version)) STRICT, WITHOUT ROWID;
CREATE TABLE quotas (
    customer TEXT PRIMARY KEY REFERENCES customers (id), km2_month REAL, gb_month REAL, requests_month INTEGER,
    per_second REAL, burst INTEGER) STRICT;
CREATE TABLE tokens (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers (id), hash BLOB NOT NULL, label TEXT NOT NULL,
    scopes TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER) STRICT;
CREATE INDEX tokens_of ON tokens (customer);
CREATE TABLE sessions (
    hash BLOB PRIMARY KEY, customer TEXT REFERENCES customers (id), operator BLOB, method TEXT NOT NULL,
    token TEXT REFERENCES tokens (id), created INTEGER NOT NULL, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of ON sessions (customer);
CREATE TABLE identities (
    issuer TEXT NOT NULL, subject TEXT NOT NULL, customer TEXT NOT NULL REFERENCES customers (id),
    created INTEGER NOT NULL, PRIMARY KEY (issuer, subject)) STRICT, WITHOUT ROWID;
CREATE TABLE sign_ins (
    hash BLOB PRIMARY KEY, nonce TEXT NOT NULL, verifier TEXT NOT NULL, expires INTEGER NOT NULL)
    STRICT, WITHOUT ROWID;
CREATE TABLE link_revocations (
    kind TEXT NOT NULL, value TEXT NOT NULL, revoked INTEGER NOT NULL, PRIMARY KEY (kind, value))
    STRICT, WITHOUT ROWID;
CREATE TABLE usage (
    customer TEXT NOT NULL, month TEXT NOT NULL, measure TEXT NOT NULL, amount REAL NOT NULL,
    PRIMARY KEY (customer, month, measure)) STRICT, WITHOUT ROWID;
CREATE TABLE counted (
    customer TEXT NOT NULL, key TEXT NOT NULL, measure TEXT NOT NULL, month TEXT NOT NULL, amount REAL NOT NULL,
    PRIMARY KEY (customer, key, measure)) STRICT, WITHOUT ROWID;
"""
SCHEMA = Schema("customers", 1, _TABLES)
