"""Documents from files: YAML or JSON text to JSON values, each with the line that every field stands on.

Owns what is read as what. Text is split at `---` lines first, so that one broken document spoils no other. Values are
read as YAML 1.2 does (`no` is a word, 20:00 a text); what YAML 1.1 and 1.2 read differently as numbers is refused.
Aliases (and with them YAML bombs), keys said twice and absurd depth are refused. Knows no kinds.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from strata.cli.failures import CliFailure

Json = dict[str, Any]
Path_ = tuple[str | int, ...]

_SUFFIXES = (".yaml", ".yml", ".json")
_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_MAX_DEPTH = 64
_MAX_BYTES = 16 * 2**20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# 010 is 8 in YAML 1.1 and 10 in YAML 1.2; 0x1f, 0o17, 0b1 and 1_000 are numbers in only one of them.
_AMBIGUOUS = re.compile(r"[-+]?(0[0-9_]+|0[xob][0-9a-fA-F_]+|[0-9][0-9_]*_[0-9_]*|\.(inf|Inf|INF))|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file. `where` names file, document and line; `lines` has the line of every path in it."""

    file: str
    number: int
    line: int
    body: Json
    lines: dict[Path_, int] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.file}: document {self.number} (line {self.line})"

    def line_of(self, path: str) -> int | None:
        """The line of a field such as `spec.subnets[0].id`, or of the nearest parent that the file has."""
        steps = _steps(path)
        for end in range(len(steps), 0, -1):
            if steps[:end] in self.lines:
                return self.lines[steps[:end]]
        return None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document that cannot be read, and why; a whole file if `number` is 0."""

    file: str
    number: int
    line: int
    why: str

    def __str__(self) -> str:
        if not self.number:
            return f"{self.file}: {self.why}"
        return f"{self.file}: document {self.number} (line {self.line}): {self.why}"


class _Refused(Exception):  # noqa: N818 - leaves this module as an Unreadable
    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


def read_all(names: tuple[str, ...], *, recursive: bool) -> list[Document | Unreadable]:
    """Every document of these files and directories ("-": standard input), in order. A file that cannot be read is
    one Unreadable, and spoils no other.

    Raises CliFailure for a name that is not there, or a directory without files: then nothing is judged at all.
    """
    files = [file for name in names for file in _files(name, recursive=recursive)]
    return [document for file in files for document in _documents_of(file)]


def _files(name: str, *, recursive: bool) -> list[Path | None]:
    """The files that a name stands for; None is standard input."""
    if name == "-":
        return [None]
    path = Path(name)
    try:
        if path.is_dir():
            return [*_files_of(path, recursive=recursive)]
        path.stat()
    except OSError as error:
        raise CliFailure(f"{path}: {error.strerror or error}") from error
    return [path]


def _files_of(directory: Path, *, recursive: bool) -> list[Path]:
    found = sorted(directory.rglob("*") if recursive else directory.iterdir())
    # A link that leads nowhere is no file, but somebody meant one: it is told.
    files = [path for path in found if path.suffix in _SUFFIXES and (path.is_file() or path.is_symlink())]
    files = [path for path in files if not path.is_dir()]
    if not files:
        raise CliFailure(f"{directory}: no {', '.join('*' + suffix for suffix in _SUFFIXES)} in this directory")
    return files


def _documents_of(file: Path | None) -> Iterator[Document | Unreadable]:
    name = "standard input" if file is None else str(file)
    try:
        text = _content(file).decode("utf-8-sig")
    except _Refused as refused:
        yield Unreadable(name, 0, 0, refused.why)
    except OSError as error:
        yield Unreadable(name, 0, 0, error.strerror or str(error))
    except UnicodeDecodeError as error:
        yield Unreadable(name, 0, 0, f"not UTF-8 text: {error}")
    else:
        yield from read(name, text)


def _content(file: Path | None) -> bytes:
    if file is None:
        content = sys.stdin.buffer.read(_MAX_BYTES + 1)
    else:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise _Refused(0, f"more than {_MAX_BYTES // 2**20} MiB")
    return content


def read(file: str, text: str) -> Iterator[Document | Unreadable]:
    """The documents of one text; empty ones are left out, but counted. A List stands for its items."""
    for number, (first_line, piece) in enumerate(_pieces(text), start=1):
        try:
            yield from _documents(file, number, first_line, piece)
        except _Refused as refused:
            yield Unreadable(file, number, refused.line, refused.why)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Each document's text with the number of its first line; a separator's own line counts as blank."""
    start = 0
    for separator in _SEPARATOR.finditer(text):
        before = text[start : separator.start()]
        if start or _says_something(before):
            yield text.count("\n", 0, start) + 1, before
        start = separator.end()
    yield text.count("\n", 0, start) + 1, text[start:]


def _says_something(text: str) -> bool:
    """Whether there is more before the first `---` than comments and YAML directives."""
    return any(line.strip() and not line.lstrip().startswith(("#", "%")) for line in text.splitlines())


def _documents(file: str, number: int, first_line: int, piece: str) -> Iterator[Document]:
    try:
        value, lines = _Builder(first_line).build(piece)
    except yaml.YAMLError as error:
        value, lines = _as_json(piece, first_line, error), {}
    if value is None:
        return
    line = lines.get((), first_line)
    if not isinstance(value, dict):
        raise _Refused(line, "an object is a mapping (apiVersion, kind, metadata, spec); this is not one")
    if isinstance(value.get("items"), list) and str(value.get("kind", "")).endswith("List"):
        yield from _items(file, number, line, value["items"], lines)
    else:
        yield Document(file, number, line, value, lines)


def _items(file: str, number: int, line: int, items: list[Any], lines: dict[Path_, int]) -> Iterator[Document]:
    for index, item in enumerate(items):
        prefix: Path_ = ("items", index)
        item_line = lines.get(prefix, line)
        if not isinstance(item, dict):
            raise _Refused(item_line, f"items[{index}] is not an object")
        below = {path[2:]: at for path, at in lines.items() if path[:2] == prefix}
        yield Document(file, number, item_line, item, below)


def _as_json(piece: str, first_line: int, error: yaml.YAMLError) -> Any:  # noqa: ANN401 - JSON
    """JSON that is no YAML for libyaml (surrogate pairs, tabs); for anything else the YAML error stands."""
    line = first_line + _line_of(error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    refused = _Refused(line, f"not YAML: {problem} ({getattr(error, 'context', None) or 'here'})")
    if not piece.lstrip().startswith(("{", "[")):
        raise refused from error
    try:
        return json.loads(
            piece, object_pairs_hook=lambda pairs: _unique(pairs, first_line), parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise refused from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]], line: int) -> Json:
    made: Json = {}
    for key, value in pairs:
        if key in made:
            raise _Refused(line, f"the key {key!r} is said twice")
        made[key] = value
    return made


class _Builder:
    """Builds JSON values from YAML's events, without recursion, so that no depth can overflow a stack."""

    def __init__(self, first_line: int) -> None:
        self._first_line = first_line
        self._lines: dict[Path_, int] = {}
        self._open: list[tuple[Json | list[Any], Path_]] = []
        self._key: list[str | None] = []  # of each open mapping: the key whose value comes next
        self._root: Any = None
        self._documents = 0

    def build(self, text: str) -> tuple[Any, dict[Path_, int]]:
        for event in yaml.parse(text, Loader=_LOADER):
            self._take(event, self._first_line + _line_of(event.start_mark))
        return self._root, self._lines

    def _take(self, event: yaml.Event, line: int) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise _Refused(line, f"*{event.anchor}: aliases are not allowed")
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _Refused(line, "a second document begins without a `---` line")
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._begin({} if isinstance(event, yaml.MappingStartEvent) else [], event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._open.pop()
            self._key.pop()

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        container = self._open[-1][0] if self._open else None
        if isinstance(container, dict) and self._key[-1] is None:
            # A key is its text, whatever it looks like: `on:` and `80:` mean "on" and "80".
            if event.value in container:
                raise _Refused(line, f"the key {event.value!r} is said twice")
            self._key[-1] = event.value
            self._lines[(*self._open[-1][1], event.value)] = line
        else:
            self._put(_value(event, line), line)

    def _begin(self, container: Json | list[Any], event: yaml.CollectionStartEvent, line: int) -> None:
        if self._open and isinstance(self._open[-1][0], dict) and self._key[-1] is None:
            raise _Refused(line, "a key must be a text, not a mapping or a list")
        if event.tag is not None and event.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise _Refused(line, f"the tag {event.tag} is not allowed")
        if len(self._open) >= _MAX_DEPTH:
            raise _Refused(line, f"more than {_MAX_DEPTH} levels deep")
        path = self._put(container, line)
        self._open.append((container, path))
        self._key.append(None)

    def _put(self, value: object, line: int) -> Path_:
        """Put a value where the next one goes; its path."""
        if not self._open:
            self._root = value
            self._lines[()] = line
            return ()
        container, parent = self._open[-1]
        if isinstance(container, list):
            container.append(value)
            path: Path_ = (*parent, len(container) - 1)
            self._lines[path] = line
            return path
        key = self._key[-1]
        if key is None:
            raise AssertionError("a mapping's value came before its key")
        container[key] = value
        self._key[-1] = None
        return (*parent, key)


def _value(event: yaml.ScalarEvent, line: int) -> str | int | float | bool | None:
    text: str = event.value
    if event.tag is not None and event.tag not in ("tag:yaml.org,2002:str", "!"):
        raise _Refused(line, f"the tag {event.tag} is not allowed; quote the value to make it a text")
    if event.tag is not None or event.style:  # a plain scalar's style is None or empty, by the parser
        return text
    return _plain(text, line)


def _plain(text: str, line: int) -> str | int | float | bool | None:
    """What a value without quotes means."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _AMBIGUOUS.fullmatch(text):
        raise _Refused(line, f"{text} is read as different values by different readers: write it plainly, or quote it")
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _line_of(mark: Any) -> int:  # noqa: ANN401 - of either of PyYAML's two parsers
    """The line, from 0, of a mark."""
    return 0 if mark is None else int(mark.line)


def _steps(path: str) -> Path_:
    """`spec.subnets[0].labels["a.b"]` as keys and indices."""
    parts = re.findall(r"""\[(\d+)\]|\[["']?([^\]"']+)["']?\]|([^.\[\]]+)""", path)
    return tuple(int(index) if index else quoted or name for index, quoted, name in parts)
