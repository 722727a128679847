r"""kubectl's JSONPath templates: text, {"quotes"}, {.paths}, {range .items[*]}…{end}.

Owns the template; the paths themselves are RFC 9535 queries once kubectl's shorthand (`.a-b`, `.a\.b`) is written out.
What is not there prints as nothing, as with `kubectl get`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from strata.cli.failures import CliFailure

Node = str | tuple[str, Any]

_NAME = re.compile(r"(?:\\.|[^.\[\]\\\s()=!<>&|,])+")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}


class Template:
    """A parsed template. Without any braces the text is one path: `.metadata.name`."""

    def __init__(self, text: str) -> None:
        source = text if "{" in text else "{" + text + "}"
        tokens = list(_tokens(source))
        self._nodes, rest = _parse(tokens, 0, nested=False)
        if rest != len(tokens):
            raise CliFailure(f"jsonpath {text!r}: {{end}} without {{range}}")

    def render(self, value: Any) -> str:  # noqa: ANN401 - JSON
        return "".join(_render(self._nodes, value, value))


class Query:
    """One path, such as `.status.conditions[?(@.type=="Ready")].status`, with or without braces."""

    def __init__(self, text: str) -> None:
        bare = text.strip()
        if bare.startswith("{") and bare.endswith("}"):
            bare = bare[1:-1].strip()
        self._find = _compiled(bare)

    def values(self, value: Any) -> list[Any]:  # noqa: ANN401 - JSON
        """Every value that the path finds, in order."""
        found: list[Any] = self._find(value, value)
        return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """("text", …) and ("code", …): braces within quotes close nothing."""
    at = 0
    while at < len(text):
        opening = text.find("{", at)
        if opening < 0:
            yield "text", text[at:]
            return
        if opening > at:
            yield "text", text[at:opening]
        closing = _closing(text, opening)
        yield "code", text[opening + 1 : closing].strip()
        at = closing + 1


def _closing(text: str, opening: int) -> int:
    quote = ""
    at = opening + 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif quote:
            quote = "" if text[at] == quote else quote
        elif text[at] in "\"'":
            quote = text[at]
        elif text[at] == "}":
            return at
        at += 1
    raise CliFailure(f"jsonpath {text!r}: a {{ is never closed")


def _parse(tokens: list[tuple[str, str]], at: int, *, nested: bool) -> tuple[list[Node], int]:
    nodes: list[Node] = []
    while at < len(tokens):
        sort, text = tokens[at]
        at += 1
        if sort == "text":
            nodes.append(text)
        elif text == "end":
            return (nodes, at) if nested else (nodes, at - 1)
        elif text.startswith(("range ", "range\t")):
            inner, at = _parse(tokens, at, nested=True)
            nodes.append(("range", (_compiled(text[5:].strip()), inner)))
        elif text[:1] in ('"', "'") and text:
            nodes.append(_unquoted(text))
        else:
            nodes.extend(("path", _compiled(path)) for path in _split(text))
    if nested:
        raise CliFailure("jsonpath: {range} without {end}")
    return nodes, at


def _split(text: str) -> list[str]:
    """`{.a} ` may hold several paths, separated by spaces outside brackets and quotes."""
    paths, depth, quote, start = [], 0, "", 0
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[(":
            depth += 1
        elif letter in "])":
            depth -= 1
        elif letter.isspace() and depth == 0:
            paths.append(text[start:at])
            start = at + 1
    paths.append(text[start:])
    return [path for path in paths if path]


def _unquoted(text: str) -> str:
    if len(text) < 2 or text[-1] != text[0]:  # noqa: PLR2004 - two quotes
        raise CliFailure(f"jsonpath: the text {text} is not closed")
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text[1:-1])


def _render(nodes: list[Node], value: Any, root: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif node[0] == "path":
            yield " ".join(_printed(found) for found in node[1](value, root))
        else:
            find, inner = node[1]
            for item in find(value, root):
                yield from _render(inner, item, root)


def _printed(value: Any) -> str:  # noqa: ANN401 - JSON
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _compiled(path: str) -> Any:  # noqa: ANN401 - a function of (value, root)
    """A function of (current value, root) that finds the path's values."""
    import jsonpath  # noqa: PLC0415 - a fifth of a second, for those who ask for a path

    written = path if path[:1] in ("$", "@", ".", "[") else f".{path}"
    from_root = written.startswith("$")
    query = "$" + _written_out(written.lstrip("$@") if written[:1] in ("$", "@") else written)
    try:
        compiled = jsonpath.compile(query)
    except jsonpath.JSONPathError as error:
        raise CliFailure(f"jsonpath {path!r}: {str(error).splitlines()[0]}") from error
    return lambda value, root: _found(compiled, root if from_root else value)


def _found(compiled: Any, value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    if not isinstance(value, dict | list):
        # The library takes a text for JSON to be parsed; a path of only `$` is the value itself.
        return [value] if str(compiled) == "$" else []
    found: list[Any] = compiled.findall(value)
    return found


def _written_out(path: str) -> str:
    r"""The `.a-b` and `.a\.b` of kubectl as RFC 9535's ['a-b'] and ['a.b'], also within filters."""
    out: list[str] = []
    at = 0
    while at < len(path):
        if path[at] == "[":
            end = _bracket_end(path, at)
            out.append("[" + _inside(path[at + 1 : end]) + "]")
            at = end + 1
        elif path.startswith("..", at):
            out.append("..")
            at += 2
            if not path.startswith("[", at):
                at = _step(path, at, out)
        elif path[at] == ".":
            at += 1
            if at < len(path):
                at = _step(path, at, out)
        else:
            raise CliFailure(f"jsonpath {path!r}: {path[at:]!r} is not understood")
    return "".join(out)


def _step(path: str, at: int, out: list[str]) -> int:
    if path.startswith("*", at):
        out.append("[*]")
        return at + 1
    name = _NAME.match(path, at)
    if name is None:
        raise CliFailure(f"jsonpath {path!r}: a name is missing after the dot")
    plain = re.sub(r"\\(.)", r"\1", name[0])
    out.append(f"[{json.dumps(plain)}]")
    return name.end()


def _bracket_end(path: str, opening: int) -> int:
    depth, quote = 0, ""
    for at in range(opening, len(path)):
        letter = path[at]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "[":
            depth += 1
        elif letter == "]":
            depth -= 1
            if depth == 0:
                return at
    raise CliFailure(f"jsonpath {path!r}: a [ is never closed")


_INNER = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[@$](?:\.{1,2}(?:\*|(?:\\.|[\w/-])+)|\[[^\]]*\])*""")


def _inside(selector: str) -> str:
    """A bracket's content; the paths within a filter are written out as well."""
    if not selector.lstrip().startswith("?"):
        return selector
    return _INNER.sub(
        lambda match: match[0] if match[0][0] in "\"'" else match[0][0] + _written_out(match[0][1:]), selector
    )
