"""What conditions, events, `describe` and `why` say of a layer's load, in words."""

from collections.abc import Iterable

from strata.resources.load import CPU_PERCENT, DownRule, Load, SampleValue, Target, UpRule


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


def rules(load: Load) -> list[str]:
    """What the rules do, a line each: `adds 1 when any of cpuPercent >= 80, queue >= 60 for 5m`."""
    if load.target is not None:
        held = f"holds {load.target.signal} at its {_aim(load.target)}"
        return [f"{held}: adds after {load.up.for_}, removes after {load.down.for_}"]
    lines = []
    for rule, up in ((load.up, True), (load.down, False)):
        named = _thresholds(load, rule, up=up)
        if named:
            many = f"{rule.match} of " if len(named) > 1 else ""
            verb = _change(rule.step if up else -rule.step)
            lines.append(f"{verb} when {many}{', '.join(named)} for {rule.for_}, at most every {rule.cooldown}")
    return lines


def _thresholds(load: Load, rule: UpRule | DownRule, *, up: bool) -> list[str]:
    sign = ">=" if up else "<="
    named = [] if rule.cpu_percent is None else [f"{CPU_PERCENT} {sign} {number(rule.cpu_percent)}"]
    for signal in load.signals:
        threshold = signal.up if up else signal.down
        if signal.cloudwatch_alarm is not None:
            if up is (signal.scales == "up"):
                named.append(f"{signal.name} in ALARM")
            elif not up:
                named.append(f"{signal.name} OK")
        elif threshold is not None:
            named.append(f"{signal.name} {sign} {number(threshold)}")
    return named


def _breach(sample: SampleValue, *, up: bool) -> str:
    if sample.value is None or sample.threshold is None:
        return f"{sample.signal}'s alarm says {'up' if up else 'down'}"
    return f"{sample.signal} {number(sample.value)} {'>=' if up else '<='} {number(sample.threshold)}"


def _aim(target: Target) -> str:
    return f"target {number(target.value)}" + (" an instance" if target.per_instance else "")


def _change(change: int) -> str:
    return f"adds {change}" if change > 0 else f"removes {-change}"
