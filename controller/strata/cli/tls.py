"""The TLS context that a kubeconfig asks for."""

import ssl
import tempfile
from pathlib import Path

from strata.cli.failures import CliFailure
from strata.cli.kubeconfig import Connection


def context(connection: Connection) -> ssl.SSLContext:
    """Trust the given authority alone, or the system's; present the client certificate if there is one."""
    try:
        return _context(connection)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise CliFailure(f"{connection.source}: a certificate or key cannot be used: {error}") from error


def _context(connection: Connection) -> ssl.SSLContext:
    made = ssl.create_default_context(cadata=connection.authority.decode() if connection.authority else None)
    if not connection.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if connection.certificate:
        _present(made, connection.certificate, connection.key)
    return made


def _present(made: ssl.SSLContext, certificate: bytes, key: bytes | None) -> None:
    # OpenSSL reads a key from a file only: one of ours (0600, in a directory of 0700), gone right after.
    with tempfile.TemporaryDirectory(prefix="strata-") as directory:
        path = Path(directory, "client.pem")
        path.touch(mode=0o600)
        path.write_bytes(certificate + b"\n" + (key or b""))
        made.load_cert_chain(path)
