"""What a newcomer reads once a world is up."""

import sys
from pathlib import Path

import pytest

from strata.local.state import WorldRecord
from strata.local.summary import strata_command, summary

OWN = Path(sys.executable).parent / "strata"


def world(*, link: str | None = "/home/u/.config/strata/kubeconfig", temporary: bool = True) -> WorldRecord:
    return WorldRecord(
        pid=1,
        api="http://127.0.0.1:7443",
        metrics="http://127.0.0.1:7443/metrics",
        simulator="http://127.0.0.1:7444",
        etcd="http://127.0.0.1:7445",
        kubeconfig="/data/kubeconfig",
        data_dir="/data",
        logs="/data/logs",
        temporary=temporary,
        link=link,
    )


def test_every_address_is_there() -> None:
    text = summary(world(), examples=Path("/examples"), detached=False, environment={})
    for place in ("http://127.0.0.1:7443/metrics", "http://127.0.0.1:7444", "/data/kubeconfig", "/data/logs"):
        assert place in text


def test_there_are_seven_things_to_try_each_with_a_command_to_copy() -> None:
    text = summary(world(), examples=Path("/examples"), detached=False, environment={})
    for verb in ("sim terminate", "scale", "apply -f -", "why", "sim load", "sim clock", "delete"):
        assert any(line.startswith("       ") and f"strata {verb}" in line for line in text.splitlines())
    assert all(f"\n  {number}. " in text for number in range(1, 8))


def test_without_examples_there_is_nothing_to_try() -> None:
    assert "to try" not in summary(world(), examples=None, detached=False, environment={})


def test_it_says_how_all_of_it_ends_and_what_stays() -> None:
    assert "leaves nothing behind" in summary(world(), examples=None, detached=False, environment={})
    kept = summary(world(temporary=False), examples=None, detached=True, environment={})
    assert "down` ends it and keeps the data in /data" in kept


def test_the_plain_word_is_used_where_it_means_this_program() -> None:
    assert strata_command(world(), {"PATH": str(OWN.parent)}) == "strata"


def test_elsewhere_the_command_says_where_this_program_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(OWN.parents[2])
    assert strata_command(world(), {"PATH": "/nowhere"}) == str(OWN.relative_to(OWN.parents[2]))
    monkeypatch.chdir(tmp_path)
    assert strata_command(world(), {"PATH": "/nowhere"}) == str(OWN)


@pytest.mark.parametrize("environment", [{"KUBECONFIG": "/mine"}, {"STRATA_SERVER": "http://elsewhere"}])
def test_where_another_server_would_be_asked_the_command_names_this_one(environment: dict[str, str]) -> None:
    command = strata_command(world(), {"PATH": str(OWN.parent), **environment})
    assert command == "strata --kubeconfig /data/kubeconfig"


def test_where_the_default_kubeconfig_is_somebodys_own_the_command_names_ours() -> None:
    assert strata_command(world(link=None), {"PATH": str(OWN.parent)}) == "strata --kubeconfig /data/kubeconfig"
