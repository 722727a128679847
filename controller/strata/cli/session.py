"""What one run of the command line knows: flags, environment, clock, and through them the server.

Commands get a Session and nothing else from outside. Everything is made when it is first needed.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from strata.cli.failures import CliFailure
from strata.cli.kubeconfig import Connection, resolve
from strata.cli.pausing import pause as sleep
from strata.clock import Clock, SystemClock
from strata.resources.duration import parse_duration

if TYPE_CHECKING:  # urllib3 is a third of the start-up time; `strata --help` does not need it
    from strata.cli.client import Client
    from strata.cli.kinds import Catalog, ResourceType

_ANSWER_S = 60.0  # how long a call may take, where --request-timeout does not say another


@dataclass
class Session:
    """`options` holds the global flags that were given; `pause` sleeps, and Ctrl-C wakes it."""

    options: dict[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Clock = field(default_factory=SystemClock)
    pause: Callable[[float], None] = sleep

    @cached_property
    def connection(self) -> Connection:
        """Where the server is. Raises CliFailure if nothing says so."""
        return resolve(
            server=self.options.get("server"),
            kubeconfig=self.options.get("kubeconfig"),
            context=self.options.get("context"),
            environment=self.environment,
        )

    @cached_property
    def client(self) -> "Client":
        from strata.cli.client import Client  # noqa: PLC0415 - see TYPE_CHECKING above

        return Client(self.connection, timeout_s=self._answer_s(), clock=self.clock)

    def now(self) -> datetime:
        """The time by the server's clock, once it has answered: the times in what it tells are its own."""
        return self.clock.now() + self.client.server_ahead

    @cached_property
    def catalog(self) -> "Catalog":
        from strata.cli.kinds import Catalog  # noqa: PLC0415 - see TYPE_CHECKING above

        return Catalog(self.client)

    @property
    def chosen_namespace(self) -> str | None:
        """The stack that a flag or the environment names: what documents must agree with."""
        return self.options.get("namespace") or self.environment.get("STRATA_NAMESPACE") or None

    @property
    def namespace(self) -> str | None:
        """The stack that a command works in, if one is chosen."""
        return self.chosen_namespace or self.connection.namespace

    def namespace_for(self, resource: "ResourceType", *, everywhere: bool = False) -> str | None:
        """The namespace of a request for this kind; None for a kind without, and for all of them.

        Raises CliFailure if one is needed and none was chosen.
        """
        if everywhere or not resource.namespaced:
            return None
        if not self.namespace:
            raise CliFailure(
                f"{resource.plural} belong to a stack: name it with -n STACK (or STRATA_NAMESPACE), or use -A for all"
            )
        return self.namespace

    @property
    def colour(self) -> bool:
        """Colours on a terminal only, and not where --no-color or NO_COLOR refuses them."""
        refused = self.options.get("no_color") or self.environment.get("NO_COLOR")
        return not refused and self.environment.get("TERM") != "dumb" and sys.stdout.isatty()

    def _answer_s(self) -> float | None:
        text = self.options.get("request_timeout")
        return seconds(text) if text else _ANSWER_S


def seconds(text: str) -> float | None:
    """`30s`, `5m` or plain seconds; 0 is for ever (None). Raises click.UsageError for anything else."""
    try:
        found = float(text) if text.replace(".", "", 1).isdigit() else parse_duration(text).total_seconds()
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return found or None
