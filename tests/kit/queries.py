"""Every PromQL query that the project tells people: found in the files, so that a new one cannot be forgotten.

In Markdown a fenced block of `promql` has queries with an empty line between them, each below a comment that ends in
what it gives on a good day: `On a good day: 1`, `below 60`, `nothing` or `something`. A name of a metric in a code span
is a query as well, that gives something or nothing. In YAML and JSON every `expr` of a rule or a panel is one; that of
an alert gives nothing.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PACKAGES = {"strata_agent", "strata_sim", "strata_wire"}
_BLOCK = re.compile(r"^```promql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ANY_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_METRIC = re.compile(r"\bstrata_[a-z0-9_]+\b(?![/.])")
_GOOD_DAY = re.compile(r"On a good day: (nothing|something|below [0-9.]+|[0-9.]+)$")


@dataclass(frozen=True)
class Query:
    """`good_day`: what it gives while all is well; "" if that depends."""

    where: str
    text: str
    good_day: str = ""

    @property
    def metrics(self) -> set[str]:
        """The names of ours in it."""
        return set(_METRIC.findall(self.text))


def all_queries() -> list[Query]:
    """Those of README, docs and manifests."""
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "manifests").rglob("*.md")]
    found = [query for path in sorted(documents) for query in in_markdown(_name(path), path.read_text())]
    for path in sorted((ROOT / "manifests").rglob("*")):
        if path.suffix in {".yml", ".yaml", ".json"}:
            for document in _documents(path):
                found += in_rules(_name(path), document)
    return found


def in_markdown(where: str, text: str) -> Iterator[Query]:
    for block in _BLOCK.findall(text):
        for paragraph in block.strip().split("\n\n"):
            yield _explained(where, paragraph)
    for span in _SPAN.findall(_ANY_BLOCK.sub("", text)):
        if set(_METRIC.findall(span)) - PACKAGES:
            yield Query(where, span)


def in_rules(where: str, document: Any) -> Iterator[Query]:
    """Every `expr`, however deep."""
    if isinstance(document, list):
        for one in document:
            yield from in_rules(where, one)
    elif isinstance(document, dict):
        expression = document.get("expr")
        if isinstance(expression, str):
            alert = document.get("alert")
            yield Query(f"{where}: {alert or expression}", expression, "nothing" if alert else "")
        for one in document.values():
            yield from in_rules(where, one)


def _explained(where: str, paragraph: str) -> Query:
    lines = paragraph.splitlines()
    comment = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    text = "\n".join(line for line in lines if not line.startswith("#"))
    said = _GOOD_DAY.search(comment)
    assert said, f"{where}: say in a comment above what it gives on a good day: {text}"
    return Query(where, text, said[1])


def _documents(path: Path) -> Iterator[Any]:
    if path.suffix == ".json":
        yield json.loads(path.read_text())
    else:
        yield from yaml.safe_load_all(path.read_text())


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))
