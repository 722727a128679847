"""Pages as EC2 makes them: MaxResults between 5 and 1000, and an opaque NextToken that fits its own query only."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from strata_sim.errors import Ec2Error, invalid_value
from strata_sim.shapes import Params

_LEAST, _MOST = 5, 1000
_PAGING = ("MaxResults", "NextToken", "DryRun")

Row = TypeVar("Row")


class Cursor(NamedTuple):
    """Where a page starts: behind the row of this sequence number. `limit` None: no paging asked for."""

    query: str
    after: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    rows: list[Row]
    next_token: str = ""


def cursor_of(params: Params, ids_name: str = "") -> Cursor:
    """Read MaxResults and NextToken; raises Ec2Error. `ids_name`: the parameter that paging excludes."""
    limit = params.get("MaxResults")
    if limit is not None and params.get(ids_name):
        raise Ec2Error(
            "InvalidParameterCombination",
            f"The parameter {ids_name} cannot be used with the parameter maxResults",
        )
    if limit is not None and not _LEAST <= limit <= _MOST:
        raise invalid_value("maxResults", limit, f"Expecting a value between {_LEAST} and {_MOST}.")
    query = _digest(params)
    return Cursor(query, _after(params["NextToken"], query) if "NextToken" in params else 0, limit)


def page_of(rows: Iterable[Row], seq_of: Callable[[Row], int], cursor: Cursor) -> Page[Row]:
    """The first rows, which come ordered and from behind the cursor, and a token if there are more."""
    taken: list[Row] = []
    for row in rows:
        if cursor.limit is not None and len(taken) == cursor.limit:
            return Page(taken, _token(cursor.query, seq_of(taken[-1])))
        taken.append(row)
    return Page(taken)


def numbered_page(rows: Iterable[Row], params: Params, ids_name: str = "") -> Page[Row]:
    """A page of rows that have no number of their own, and do not change between pages."""
    cursor = cursor_of(params, ids_name)
    numbered = [(n, row) for n, row in enumerate(rows, 1) if n > cursor.after]
    page = page_of(numbered, lambda pair: pair[0], cursor)
    return Page([row for _, row in page.rows], page.next_token)


def _digest(params: Params) -> str:
    query = {name: value for name, value in params.items() if name not in _PAGING}
    return hashlib.sha256(json.dumps(query, sort_keys=True).encode()).hexdigest()[:16]


def _token(query: str, after: int) -> str:
    return base64.urlsafe_b64encode(f"{query}:{after}".encode()).decode()


def _after(token: str, query: str) -> int:
    try:
        found, _, after = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        number = int(after)
    except (binascii.Error, ValueError):
        found, number = "", 0
    if found != query:
        raise Ec2Error("InvalidNextToken", "The token is invalid or belongs to another request.")
    return number
