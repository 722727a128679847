"""Loads boto3 when the first call is made, in that call's thread: importing takes 0.4 s, and not all need it."""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strata.cloud.sdk import Sdk


class LazySdk:
    """Gives the process's one boto3 session. Blocking; several threads may use it."""

    def __init__(self) -> None:
        self._sdk: Sdk | None = None
        self._lock = threading.Lock()

    def load(self) -> "Sdk":
        """The session, with boto3 imported by now."""
        with self._lock:
            if self._sdk is None:
                from strata.cloud.sdk import Sdk  # noqa: PLC0415 - that this import comes late is the point

                self._sdk = Sdk()
            return self._sdk
