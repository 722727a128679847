"""The daemon's options that name Prometheus servers: `--prometheus NAME=URL`, and what each needs to be reached."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from strata.signals.settings import PrometheusSettings

F = TypeVar("F", bound=Callable[..., Any])
Named = Mapping[str, str]


def _split(_context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    named = {}
    for value in values:
        name, _, rest = value.partition("=")
        if not name or not rest or name in named:
            raise click.BadParameter(f"{value!r} is not {parameter.metavar}, once for each name")
        named[name] = rest
    return named


def _option(flag: str, metavar: str, text: str) -> Callable[[F], F]:
    return click.option(flag, multiple=True, callback=_split, metavar=metavar, help=text)


_OPTIONS: tuple[Callable[[F], F], ...] = (
    _option("--prometheus", "NAME=URL", "A Prometheus that signals of layers may name as their source."),
    _option("--prometheus-ca", "NAME=FILE", "The authority of its certificate."),
    _option("--prometheus-token-file", "NAME=FILE", "A bearer token for it; read anew for each call."),
    _option("--prometheus-user", "NAME=USER", "A user of it, for basic authentication."),
    _option("--prometheus-password-file", "NAME=FILE", "The user's password; read anew for each call."),
)


def prometheus_options(command: F) -> F:
    """Give a command these options, as keyword arguments."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def prometheus_settings(
    *,
    prometheus: Named,
    prometheus_ca: Named,
    prometheus_token_file: Named,
    prometheus_user: Named,
    prometheus_password_file: Named,
) -> dict[str, PrometheusSettings]:
    """What these options say, by name. Raises ValueError for what cannot be meant."""
    extras = {*prometheus_ca, *prometheus_token_file, *prometheus_user, *prometheus_password_file}
    if unknown := sorted(extras - set(prometheus)):
        raise ValueError(f"prometheus: {unknown[0]} has options, but no --prometheus {unknown[0]}=URL")
    return {
        name: PrometheusSettings(
            url=url,
            ca_path=_file(prometheus_ca.get(name)),
            token_path=_file(prometheus_token_file.get(name)),
            user=prometheus_user.get(name),
            password_path=_file(prometheus_password_file.get(name)),
        )
        for name, url in prometheus.items()
    }


def _file(name: str | None) -> Path | None:
    if name is None:
        return None
    if not Path(name).is_file():
        raise ValueError(f"prometheus: there is no file {name}")
    return Path(name)
