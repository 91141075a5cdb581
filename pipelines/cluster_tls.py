"""Certificates for a Dask cluster: an authority of its own, and one certificate for scheduler, workers and clients.

``python -m pipelines.cluster_tls FOLDER`` writes ``ca.pem``, ``cert.pem`` and ``key.pem`` where they are not there yet.
Who holds the key can run code on the workers: it belongs to the machines of the cluster alone. The authority's own key
is thrown away; when a year is over, or a machine leaves, the folder is emptied and made again.
"""

import datetime
import os
import sys
from pathlib import Path

from processing.archive import durable

CA, CERT, KEY = "ca.pem", "cert.pem", "key.pem"
DAYS = 366


def make_certificates(folder: Path, *, days: int = DAYS) -> bool:
    """Write the three files unless they are there.

    Parameters
    ----------
    folder
        Made for its owner alone.
    days
        How long the certificates hold.

    Returns
    -------
    made
        False if they were there.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    if all((folder / name).is_file() for name in (CA, CERT, KEY)):
        return False
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)

    def signed(name: str, public: ec.EllipticCurvePublicKey, *, is_authority: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _AUTHORITY)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(
                x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True
            )
        )
        return builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(folder / KEY, private)
    _write(folder / CERT, signed("qyran-dask", key.public_key(), is_authority=False))
    _write(folder / CA, signed(_AUTHORITY, authority.public_key(), is_authority=True))
    durable.sync_folder(folder)
    return True


_AUTHORITY = "qyran-dask-authority"


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)


if __name__ == "__main__":
    made = make_certificates(Path(sys.argv[1]))
    sys.stderr.write(f"{'made' if made else 'there already'}: {sys.argv[1]}\n")
