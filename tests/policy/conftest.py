"""Fixtures that other rooms lend."""

from tests.catalogs.conftest import archived  # noqa: F401
