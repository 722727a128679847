"""The figures of a run: as a table for people, as JSON for programs, as a plot of cost against fleet size."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.bench.rig import Reading, Size


@dataclass(slots=True)
class Figure:
    """What one scenario cost one of those compared. `goals` are upper limits of fields of the same names."""

    machines: int
    size: str
    scenario: str
    who: str
    wall_s: float
    cpu_s: float
    calls: dict[str, float]
    throttled: int = 0
    puts: int = 0
    peak_mib: float | None = None
    extra: dict[str, float] = field(default_factory=dict)
    goals: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, size: Size, scenario: str, who: str, reading: Reading) -> "Figure":
        return cls(
            machines=size.machines,
            size=size.name,
            scenario=scenario,
            who=who,
            wall_s=reading.wall_s,
            cpu_s=reading.cpu_s,
            calls=dict(reading.calls),
            throttled=reading.throttled,
            puts=reading.puts,
        )

    def missed(self) -> list[str]:
        """The goals that were not reached, as sentences."""
        have = {
            "wall_s": self.wall_s,
            "cpu_s": self.cpu_s,
            "calls": sum(self.calls.values()),
            "throttled": self.throttled,
            "peak_mib": self.peak_mib or 0.0,
        }
        return [
            f"{self.size} {self.scenario}: {name} {have[name]:.3g}, goal {limit:g}"
            for name, limit in self.goals.items()
            if have[name] > limit
        ]


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "system": platform.release(),
    }


def show(figures: Iterable[Figure]) -> None:
    table = Table("size", "scenario", "who", "wall s", "CPU s", "calls", "throttled", "puts", "peak MiB", "more")
    for one in figures:
        calls = " ".join(f"{action} {count:g}" for action, count in sorted(one.calls.items()))
        more = " ".join(f"{name} {value:g}" for name, value in one.extra.items())
        peak = "" if one.peak_mib is None else f"{one.peak_mib:.0f}"
        table.add_row(
            one.size, one.scenario, one.who, f"{one.wall_s:.2f}", f"{one.cpu_s:.3f}", calls,
            str(one.throttled), str(one.puts), peak, more,
        )  # fmt: skip
    Console(width=200).print(table)


def write_json(figures: Sequence[Figure], path: Path) -> None:
    content = {"machine": machine(), "figures": [asdict(one) for one in figures]}
    path.write_text(json.dumps(content, indent=2) + "\n")


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
