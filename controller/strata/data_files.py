"""Finds the data that ships beside the code: in a wheel under `strata/_data`, in a checkout at its root."""

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent
_IN_CHECKOUT = {"crds": Path("crds"), "examples": Path("manifests", "examples")}


def data_folder(name: Literal["crds", "examples"]) -> Path:
    """The folder with the CRDs or the example manifests. Raises FileNotFoundError for a broken installation."""
    candidates = (_PACKAGE / "_data" / name, _PACKAGE.parents[1] / _IN_CHECKOUT[name])
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"this installation of strata lacks its {name}: looked in {', '.join(map(str, candidates))}"
    )
