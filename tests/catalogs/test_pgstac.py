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
