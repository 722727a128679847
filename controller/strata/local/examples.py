"""Where the examples are: in the wheel, or beside the sources in a checkout."""

from pathlib import Path

import strata
from strata.cli.failures import CliFailure

_PACKAGE = Path(strata.__file__).parent


def examples_folder() -> Path:
    """The folder that `strata up` applies. Raises CliFailure if this installation has none."""
    for folder in (_PACKAGE / "_data" / "examples", _PACKAGE.parents[1] / "manifests" / "examples"):
        if folder.is_dir():
            return folder
    raise CliFailure("this installation of Strata has no examples; start it with --no-examples")
