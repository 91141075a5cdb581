import psycopg
import pytest

from catalogs.store.pgstac import PgstacStore
from catalogs.store.protocol import CatalogueStore
from tests.contracts.catalogue_store import CatalogueStoreContract
from tests.services import postgres

pytestmark = pytest.mark.services


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    reason = postgres.why_not()
    if reason is not None:
        postgres.refuse(reason)
    with postgres.running(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def opened(server):
    url = server.fresh("contract")
    store = PgstacStore(url)
    assert isinstance(store, CatalogueStore)
    yield store, url
    store.close()


@pytest.fixture
def empty(opened):
    store, url = opened
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM pgstac.collections; DELETE FROM qyran.versions")
    return store


class TestPgstacStore(CatalogueStoreContract):
    @pytest.fixture
    def store(self, empty):
        return empty


def test_a_catalogue_of_an_earlier_qyran_gets_what_it_lacks(server):
    url = server.fresh("earlier")
    PgstacStore(url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP INDEX pgstac.qyran_by_end; UPDATE qyran.schema_version SET version = 3")
        PgstacStore(url).close()
        assert connection.execute("SELECT to_regclass('pgstac.qyran_by_end') IS NOT NULL").fetchone() == (True,)
        assert connection.execute("SELECT version FROM qyran.schema_version").fetchone() == (4,)
