"""Which server to talk to, and as whom: flags, environment, then a standard kubeconfig file.

Owns the order of precedence and the reading of the file. Opens no connection.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strata.cli.failures import CliFailure

DEFAULT_FILE = Path("~/.config/strata/kubeconfig")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A server's address and what its TLS needs; `source` says where the address came from.

    Certificates and keys are PEM bytes, None where not given.
    """

    url: str
    source: str
    namespace: str | None = None
    authority: bytes | None = None
    verify: bool = True
    server_name: str | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token: str | None = None


def resolve(
    *, server: str | None, kubeconfig: str | None, context: str | None, environment: Mapping[str, str]
) -> Connection:
    """The connection that flags, environment and files ask for. Raises CliFailure if none does, or a file is wrong."""
    if server:
        return Connection(url=checked_url(server, "--server"), source="--server")
    if not kubeconfig and not context and environment.get("STRATA_SERVER"):
        return Connection(url=checked_url(environment["STRATA_SERVER"], "STRATA_SERVER"), source="STRATA_SERVER")
    source, paths = _files(kubeconfig, environment)
    present = [path for path in paths if path.is_file()]
    if not present:
        raise CliFailure(
            f"no Strata server is configured: --server and STRATA_SERVER are not set, and {_names(paths)} "
            f"(from {source}) does not exist\n"
            "Start a server here with `strata up`, or name one with --server URL."
        )
    return _from_config(_merged(present), context=context, source=f"{_names(present)}, {source}")


def checked_url(url: str, source: str) -> str:
    """The URL without a trailing slash. Raises CliFailure if it is not http or https."""
    if not url.startswith(("http://", "https://")):
        raise CliFailure(f"{source}: {url!r} is not a server's URL; it should look like http://127.0.0.1:7443")
    return url.rstrip("/")


def _files(flag: str | None, environment: Mapping[str, str]) -> tuple[str, list[Path]]:
    if flag:
        return "--kubeconfig", [Path(flag).expanduser()]
    for variable in ("STRATA_KUBECONFIG", "KUBECONFIG"):
        if environment.get(variable):
            names = [name for name in environment[variable].split(":") if name]
            return variable, [Path(name).expanduser() for name in names]
    home = environment.get("HOME")
    default = Path(home, *DEFAULT_FILE.parts[1:]) if home else DEFAULT_FILE.expanduser()
    return "the default place", [default]


def _names(paths: list[Path]) -> str:
    return " and ".join(str(path) for path in paths)


def _merged(paths: list[Path]) -> dict[str, Any]:
    """As kubectl merges a list of files: the first to name a thing wins. Relative file names become absolute."""
    merged: dict[str, Any] = {"current-context": "", "clusters": {}, "contexts": {}, "users": {}}
    for path in paths:
        config = _load(path)
        merged["current-context"] = merged["current-context"] or config.get("current-context") or ""
        for section, field in (("clusters", "cluster"), ("contexts", "context"), ("users", "user")):
            for entry in config.get(section) or []:
                if not isinstance(entry, dict) or not isinstance(entry.get(field), dict):
                    raise CliFailure(f"kubeconfig {path}: every entry of `{section}` needs `name` and `{field}`")
                merged[section].setdefault(entry.get("name"), {**entry[field], "_directory": path.parent})
    return merged


def _load(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - only those who use a file pay for it

    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe loaders both
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CliFailure(f"kubeconfig {path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise CliFailure(f"kubeconfig {path} is not a kubeconfig: a mapping is expected")
    return config


def _from_config(config: dict[str, Any], *, context: str | None, source: str) -> Connection:
    name = context or config["current-context"]
    if not name:
        raise CliFailure(f"{source}: no current-context, and no --context was given")
    chosen = _named(config, "contexts", name, source)
    cluster = _named(config, "clusters", chosen.get("cluster"), source)
    user = _named(config, "users", chosen["user"], source) if chosen.get("user") else {}
    if "exec" in user or "auth-provider" in user:
        raise CliFailure(f"{source}: user {chosen['user']!r} needs a credential plugin, which strata does not run")
    return Connection(
        url=checked_url(str(cluster.get("server") or ""), f"{source}, cluster {chosen.get('cluster')!r}"),
        source=f"{source}, context {name!r}",
        namespace=chosen.get("namespace"),
        authority=_pem(cluster, "certificate-authority", source),
        verify=not cluster.get("insecure-skip-tls-verify", False),
        server_name=cluster.get("tls-server-name"),
        certificate=_pem(user, "client-certificate", source),
        key=_pem(user, "client-key", source),
        token=_token(user, source),
    )


def _named(config: dict[str, Any], section: str, name: object, source: str) -> dict[str, Any]:
    entry: dict[str, Any] | None = config[section].get(name)
    if entry is None:
        known = ", ".join(sorted(str(key) for key in config[section])) or "none"
        raise CliFailure(f"{source}: `{section}` has no {name!r} (it has: {known})")
    return entry


def _pem(entry: dict[str, Any], field: str, source: str) -> bytes | None:
    """`field-data` (base64) wins over `field` (a file, relative to the kubeconfig), as in kubectl."""
    if entry.get(f"{field}-data"):
        try:
            return base64.b64decode(entry[f"{field}-data"], validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise CliFailure(f"{source}: {field}-data is not base64: {error}") from error
    return _file(entry, field, source)


def _token(user: dict[str, Any], source: str) -> str | None:
    if user.get("token"):
        return str(user["token"])
    content = _file(user, "tokenFile", source)
    return content.decode().strip() if content else None


def _file(entry: dict[str, Any], field: str, source: str) -> bytes | None:
    if not entry.get(field):
        return None
    path = Path(entry["_directory"], str(entry[field]))
    try:
        return path.read_bytes()
    except OSError as error:
        raise CliFailure(f"{source}: {field}: {error}") from error
