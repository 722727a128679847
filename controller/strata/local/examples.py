"""Where the examples are: in the wheel, or beside the sources in a checkout; and the load that lets them move."""

from pathlib import Path

import strata
from strata.cli.failures import CliFailure
from strata.local.simulator import Simulator

_PACKAGE = Path(strata.__file__).parent
_WAVE = {"mean": 250, "amplitude": 250, "period_s": 20 * 60}  # from none to five machines' work and back


def examples_folder() -> Path:
    """The folder that `strata up` applies. Raises CliFailure if this installation has none."""
    for folder in (_PACKAGE / "_data" / "examples", _PACKAGE.parents[1] / "manifests" / "examples"):
        if folder.is_dir():
            return folder
    raise CliFailure("this installation of Strata has no examples; start it with --no-examples")


def start_load(simulator: Simulator) -> None:
    """Let work come to the example whose workers follow their queue."""
    simulator.control("load", {"stack": "queue-workers", "layer": "workers", "load": _WAVE})
