"""Completion of kinds and names in a shell. Quick and silent: no server means no proposals, never a message."""

from typing import TYPE_CHECKING, Any

import click

from strata.cli.options import session_of
from strata.cli.session import Session

if TYPE_CHECKING:  # imported by the shell's completion alone
    from click.shell_completion import CompletionItem

_ANSWER = "2s"


def complete_target(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """KIND, then names of that kind; KIND/NAME once a slash is typed."""
    given = tuple(ctx.params.get(str(parameter.name)) or ())
    return _quietly(ctx, _target_words, given, incomplete)


def complete_named(kind: str) -> Any:  # noqa: ANN401 - click's callback type
    """A completion of KIND/NAME, and of NAME, of one kind."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list["CompletionItem"]:
        prefix = f"{kind}/" if incomplete.startswith(f"{kind}/") else ""
        return _quietly(ctx, lambda session, _, __: [prefix + name for name in _names(session, kind)], (), incomplete)

    return complete


def complete_namespace(ctx: click.Context, _: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The stacks."""
    return _quietly(ctx, lambda session, _, __: _names(session, "stack"), (), incomplete)


def _quietly(ctx: click.Context, words: Any, given: tuple[str, ...], incomplete: str) -> list["CompletionItem"]:  # noqa: ANN401 - a function as above
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - see TYPE_CHECKING above

    from strata.cli.failures import CliFailure  # noqa: PLC0415 - see TYPE_CHECKING above

    try:
        given_flags = session_of(ctx).options
        found = words(Session(options={**given_flags, "request_timeout": _ANSWER}), given, incomplete)
    except CliFailure:
        return []
    return [CompletionItem(word) for word in found if word.startswith(incomplete)]


def _target_words(session: Session, given: tuple[str, ...], incomplete: str) -> list[str]:
    if "/" in incomplete:
        kind = incomplete.partition("/")[0]
        return [f"{kind}/{name}" for name in _names(session, kind)]
    if not given:
        return _kinds()
    return [] if "/" in given[0] else [name for name in _names(session, given[0]) if name not in given]


def _kinds() -> list[str]:
    from strata.cli.kinds import BUILT_IN  # noqa: PLC0415 - see TYPE_CHECKING above

    return sorted(word for resource in BUILT_IN for word in (resource.plural, resource.singular))


def _names(session: Session, kind: str) -> list[str]:
    resource = session.catalog.find(kind)
    answer = session.client.list(resource.collection(session.namespace_for(resource)))
    return [item["metadata"]["name"] for item in answer["items"]]
