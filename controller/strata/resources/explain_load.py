"""What a layer's load decided, in the words of its status, its events, `describe` and `why`."""

from collections.abc import Iterable

from strata.resources.load import SampleValue, Target


def number(value: float) -> str:
    """As few digits as people need: 84.2, 5, 0.031."""
    if abs(value) < 10:  # noqa: PLR2004 - two digits in front say enough
        return f"{value:.3g}"
    return f"{value:.1f}".removesuffix(".0")


def decision(samples: Iterable[SampleValue], *, change: int, span: str) -> str:
    """`cpuPercent 84.2 >= 80 for 5m: adds 1`."""
    said = " and ".join(_breach(sample, up=change > 0) for sample in samples)
    return f"{said} for {span}: {_change(change)}"


def tracking(sample: SampleValue, target: Target, *, change: int, span: str) -> str:
    """`queue 900 (target 100 an instance) for 5m: adds 3`."""
    value = number(sample.value or 0.0)
    return f"{target.signal} {value} ({_aim(target)}) for {span}: {_change(change)}"


def _breach(sample: SampleValue, *, up: bool) -> str:
    if sample.value is None or sample.threshold is None:
        return f"{sample.signal}'s alarm says {'up' if up else 'down'}"
    return f"{sample.signal} {number(sample.value)} {'>=' if up else '<='} {number(sample.threshold)}"


def _aim(target: Target) -> str:
    return f"target {number(target.value)}" + (" an instance" if target.per_instance else "")


def _change(change: int) -> str:
    return f"adds {change}" if change > 0 else f"removes {-change}"
