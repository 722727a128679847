"""What a command may end with. Every one of them is a sentence on standard error and exit code 1.

CliFailure             the command could not do what was asked
  Unreachable          no server answered: which URL, where that URL came from, what to do
    Silent             one was reached, and did not answer in time
  LostAnswer           the request may have been carried out: its answer was lost, or did not come in time
  ApiFailure           the server answered with a Status error; carries every cause
  TimedOut             what was waited for did not happen in time
StreamBroken           a watch ended other than by the server's own closing of it; never seen by people
"""

from strata.errors import Cause, StrataError


class CliFailure(StrataError):  # noqa: N818 - it is an outcome that is told, not a defect
    """The command could not do what was asked."""


class Unreachable(CliFailure):
    """No server answered."""

    def __init__(self, url: str, source: str, why: str) -> None:
        super().__init__(
            f"no Strata server answers at {url} (from {source}): {why}\n"
            "Start one here with `strata up`, or name another with --server URL, STRATA_SERVER or --kubeconfig FILE."
        )
        self.url = url
        self.source = source


class Silent(Unreachable):
    """There is a server, but its answer did not come in time."""

    def __init__(self, url: str, source: str, why: str) -> None:
        CliFailure.__init__(self, f"the server at {url} (from {source}) was asked, but {why}")
        self.url = url
        self.source = source


class LostAnswer(CliFailure):
    """The request was sent, and its answer never came."""

    def __init__(self, request: str, why: str, looking: str) -> None:
        super().__init__(
            f"{request}: {why}; whether it was done is unknown\n"
            f"Look with `{looking}`. `strata apply` may be repeated without harm."
        )


class ApiFailure(CliFailure):
    """The server's Status error."""

    def __init__(self, code: int, reason: str, message: str, causes: tuple[Cause, ...] = ()) -> None:
        super().__init__(f"Error from server ({reason}): {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.causes = causes

    @property
    def not_found(self) -> bool:
        return self.code == 404  # noqa: PLR2004 - HTTP

    @property
    def expired(self) -> bool:
        """The revision or the continue token is too old: list again."""
        return self.code == 410  # noqa: PLR2004 - HTTP


class TimedOut(CliFailure):
    """What was waited for did not happen in time."""


class StreamBroken(StrataError):  # noqa: N818
    """A watch's stream broke; open it again from where it was."""
