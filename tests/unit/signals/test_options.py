"""The daemon's options that name Prometheus servers."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from strata.signal_options import prometheus_options, prometheus_settings
from strata.signals.settings import PrometheusSettings

_heard: dict[str, PrometheusSettings] = {}


@click.command()
@prometheus_options
def _daemon(**options: Any) -> None:
    try:
        _heard.update(prometheus_settings(**options))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def said(*arguments: str) -> tuple[int, str]:
    _heard.clear()
    done = CliRunner().invoke(_daemon, arguments)
    return done.exit_code, done.output


def test_servers_have_what_is_said_of_them_by_name(tmp_path: Path) -> None:
    for name in ("token", "password", "ca.pem"):
        (tmp_path / name).write_text("x")
    code, _ = said(
        "--prometheus=main=https://one/prometheus",
        "--prometheus=other=http://two:9090",
        f"--prometheus-token-file=main={tmp_path / 'token'}",
        f"--prometheus-ca=main={tmp_path / 'ca.pem'}",
        "--prometheus-user=other=ops",
        f"--prometheus-password-file=other={tmp_path / 'password'}",
    )
    assert code == 0
    assert _heard == {
        "main": PrometheusSettings(
            url="https://one/prometheus", ca_path=tmp_path / "ca.pem", token_path=tmp_path / "token"
        ),
        "other": PrometheusSettings(url="http://two:9090", user="ops", password_path=tmp_path / "password"),
    }


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--prometheus=http://one"], "is not NAME=URL"),
        (["--prometheus=main"], "is not NAME=URL"),
        (["--prometheus=main=http://one", "--prometheus=main=http://two"], "once for each name"),
        (["--prometheus-user=main=ops"], "no --prometheus main=URL"),
        (["--prometheus=main=http://one", "--prometheus-token-file=main=/nowhere/token"], "no file /nowhere/token"),
        (["--prometheus=main=ftp://one"], "is not of the form http://host"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_start(arguments: list[str], why: str) -> None:
    code, output = said(*arguments)
    assert code != 0
    assert why in output
