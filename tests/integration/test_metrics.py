"""What Prometheus is told, by promtool's judgement, and only by the daemon that leads."""

import asyncio
import os
import shutil
import subprocess
from datetime import UTC, datetime

import pytest
from prometheus_client import generate_latest
from tests.kit.fleet import Fleet
from tests.kit.virtual_time import run_virtual

from strata_sim.controls import ids


def _promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        message = "no promtool; as root, once: apt-get install -y --no-install-recommends prometheus"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def _scrape(fleet: Fleet, name: str) -> str:
    return generate_latest(fleet.daemons[name].metrics.registry).decode()


OFFICE = {"name": "office", "instances": 1, "from": "08:00", "to": "20:00"}  # the world begins at noon


async def _eventful_hour(fleet: Fleet) -> dict[str, str]:
    """Two daemons; a heal and a refused launch. What each of them says in the end."""
    fleet.start("a")
    await asyncio.sleep(1)
    fleet.start("b")
    await fleet.person.stack("shop")
    await fleet.person.layer("shop", "web", 2, capacity={"always": 2, "schedule": [OFFICE]})
    await fleet.online("shop", 3)
    fleet.controls.capacity("t3.small", "us-east-1a", 0)
    fleet.controls.terminate(ids(*fleet.machines()))
    await fleet.until(lambda: len(fleet.machines()) == 3, within_s=300)
    await fleet.online("shop", 3, within_s=300)
    said = {name: _scrape(fleet, name) for name in fleet.daemons}
    await fleet.close()
    return said


def _said() -> dict[str, str]:
    async def whole() -> dict[str, str]:
        return await _eventful_hour(Fleet())

    return run_virtual(whole())


def test_promtool_finds_no_fault() -> None:
    checked = subprocess.run(
        [_promtool(), "check", "metrics"], input=_said()["a"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_leader_alone_exports_series_by_layer() -> None:
    said = _said()
    assert 'strata_layer_desired{layer="web",stack="shop"} 3.0' in said["a"]
    assert 'strata_layer_instances{layer="web",phase="online",stack="shop"} 3.0' in said["a"]
    assert 'strata_layer_heals_total{layer="web",reason="TerminatedExternally",stack="shop"} 3.0' in said["a"]
    assert 'strata_layer_launches_total{layer="web",stack="shop"} 6.0' in said["a"]
    assert (
        'strata_layer_launch_failures_total{layer="web",reason="InsufficientInstanceCapacity",stack="shop"} 1.0'
        in said["a"]
    )
    assert 'strata_layer_updated{layer="web",stack="shop"} 3.0' in said["a"]
    assert 'strata_layer_outdated{layer="web",stack="shop"} 0.0' in said["a"]
    assert 'strata_layer_rollout_stalled{layer="web",stack="shop"} 0.0' in said["a"]
    assert 'strata_layer_desired_by_rule{layer="web",rule="schedule/office",stack="shop"} 1.0' in said["a"]
    assert 'strata_layer_schedule_window_open{layer="web",stack="shop",window="office"} 1.0' in said["a"]
    closes_at = datetime(2026, 1, 5, 20, tzinfo=UTC).timestamp()
    (next_change,) = [line for line in said["a"].splitlines() if line.startswith("strata_layer_next_change_timestamp")]
    assert float(next_change.split()[-1]) == closes_at
    assert 'strata_layer_next_change_desired{layer="web",stack="shop"} 2.0' in said["a"]
    assert "strata_layer_last_reconcile_age_seconds" in said["a"]
    assert "strata_leader 1.0" in said["a"]
    assert "strata_layer_" not in said["b"]
    assert "strata_leader 0.0" in said["b"]
