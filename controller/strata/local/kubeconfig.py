"""The kubeconfig of a local world: one cluster, one context, no credentials, and the simulator's address."""

from pathlib import Path
from typing import Any

import yaml

NAME = "strata-local"
EXTENSION = "local.strata.dev"


def write_kubeconfig(path: Path, *, api: str, simulator: str) -> None:
    """Write it for this user alone."""
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAME,
        "clusters": [
            {
                "name": NAME,
                "cluster": {
                    "server": api,
                    "extensions": [{"name": EXTENSION, "extension": {"simulator": simulator}}],
                },
            }
        ],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "users": [{"name": NAME, "user": {}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
