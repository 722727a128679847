"""The admin side of the simulator, as a client: one request a control. Owns the wire, decides nothing."""

import json
from collections.abc import Mapping
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from strata.cli.failures import CliFailure

_ANSWER_S = 10.0
_REFUSED = 400

Json = dict[str, Any]


class Simulator:
    """A simulator at this URL. Every method raises CliFailure if it is away, or refuses, with its own words."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def read(self, what: str, fields: Mapping[str, str] | None = None) -> Json:
        """GET /_sim/WHAT."""
        return self._ask("GET", what, fields=fields)

    def control(self, what: str, body: Mapping[str, Any]) -> Json:
        """POST /_sim/WHAT."""
        return self._ask("POST", what, json=body)

    def _ask(self, method: str, what: str, **content: Any) -> Json:  # noqa: ANN401 - urllib3's own
        url = f"{self._url}/_sim/{what}"
        try:
            answer = urllib3.request(method, url, timeout=_ANSWER_S, retries=False, **content)
        except HTTPError as error:
            raise CliFailure(f"no simulator answers at {self._url}: {error}") from error
        try:
            document: Json = answer.json()
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise CliFailure(f"{url} is not a simulator's: HTTP {answer.status}") from error
        if answer.status >= _REFUSED:
            raise CliFailure(f"the simulator refuses: {document.get('error', answer.status)}")
        return document
