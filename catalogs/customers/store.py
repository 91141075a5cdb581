"""Everything about customers in one store: ``HOME/customers/customers.db``."""

from pathlib import Path

from catalogs.customers.credentials import Credentials
from catalogs.customers.personal import Personal
from catalogs.customers.register import Register
from catalogs.customers.tables import SCHEMA
from catalogs.customers.usage import Usage
from catalogs.private_database import Connections


class CustomerStore(Register, Credentials, Usage, Personal):
    """The customers of an installation, safe for several threads and processes at a time.

    Parameters
    ----------
    path
        The database; made where there is none, for its owner's eyes only.

    Raises
    ------
    Defect
        ``customers.version`` if a newer Qyran made it, ``customers.corrupt`` if it is damaged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(Connections(path, SCHEMA))

    def close(self) -> None:
        """Close the database."""
        self._db.close()


def open_customers(home: Path) -> CustomerStore:
    """The customers of the installation in ``home``."""
    return CustomerStore(home / "customers" / "customers.db")
