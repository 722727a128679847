"""Documents that became wishes: every document judged on its own, in dependency order, and what is wrong told in full.

Used by apply, diff and delete -f.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import click

from strata.cli.applying import Wish, wished
from strata.cli.documents import Document, Unreadable, read_all
from strata.cli.failures import ApiFailure, CliFailure, LostAnswer, Unreachable
from strata.cli.kinds import STACK, ResourceType, order_of
from strata.cli.output import within
from strata.cli.session import Session
from strata.errors import Cause


@dataclass(frozen=True, slots=True)
class Placed:
    """A document and the object that it wants."""

    document: Document
    wish: Wish

    @property
    def label(self) -> str:
        return f"{self.wish.resource.singular}/{self.wish.name}"

    @property
    def where(self) -> str:
        """` in todo`, behind what was done to it."""
        return within(self.wish.namespace)


@dataclass(slots=True)
class Judged:
    """What was read: good documents in dependency order, how many were not good, and the stacks that are still to come
    with these documents."""

    good: list[Placed]
    failed: int
    coming: set[str]

    def each(self, action: Callable[[Placed], None]) -> None:
        """Do an action for each good document. A failure of one is told and counted, and stops no other."""
        for placed in self.good:
            try:
                action(placed)
            except (Unreachable, LostAnswer):
                raise  # of the connection, not of this document
            except CliFailure as failure:
                self.failed += 1
                _tell_refused(placed, failure)
                if placed.wish.resource == STACK:
                    self.coming.discard(placed.wish.name)


def read_wishes(session: Session, names: tuple[str, ...], *, recursive: bool, order: int = 1) -> Judged:
    """Read and judge every document; each bad one is told at once. `order` -1 puts dependents first (to delete).

    Raises CliFailure if a name is not there, or if there is not one document in all of them.
    """
    found = read_all(names, recursive=recursive)
    if not found:
        raise CliFailure(f"no objects in {', '.join(names)}")
    good: list[Placed] = []
    for document in found:
        if isinstance(document, Unreadable):
            click.echo(f"error: {document}", err=True)
        elif (placed := _placed(session, document)) is not None:
            good.append(placed)
    good.sort(key=lambda placed: order * order_of(placed.wish.resource.kind))
    coming = {placed.wish.name for placed in good if placed.wish.resource == STACK}
    return Judged(good, len(found) - len(good), coming)


def _placed(session: Session, document: Document) -> Placed | None:
    label = label_of_document(document)
    if faults := _faults(document):
        tell_invalid(document, label, faults)
        return None
    metadata = document.body["metadata"]
    try:
        resource = session.catalog.of_document(document.body["apiVersion"], document.body["kind"])
        namespace = _namespace(session, resource, metadata.get("namespace"))
    except ApiFailure:
        raise
    except _Misplaced as misplaced:
        tell_invalid(
            document, label_of_document(document), (Cause("metadata.namespace", "FieldValueInvalid", str(misplaced)),)
        )
        return None
    except CliFailure as failure:
        tell_invalid(document, label, (Cause("kind", "FieldValueNotSupported", str(failure)),))
        return None
    return Placed(document, Wish(resource, namespace, wished(document.body, namespace)))


class _Misplaced(CliFailure):
    """A document's namespace cannot be."""


def _namespace(session: Session, resource: ResourceType, written: str | None) -> str | None:
    if not resource.namespaced:
        if written:
            raise _Misplaced(f"a {resource.kind} belongs to no stack; remove it")
        return None
    chosen = session.chosen_namespace
    if written and chosen and written != chosen:
        raise _Misplaced(f"{written!r} disagrees with -n {chosen}")
    found = written or session.namespace
    if not found:
        raise _Misplaced(f"a {resource.kind} belongs to a stack: name it here, or with -n STACK")
    return found


def _faults(document: Document) -> tuple[Cause, ...]:
    """What is wrong with a document before any server is asked: without these there is nobody to ask about."""
    body = document.body
    faults = [
        Cause(field, "FieldValueRequired", "a text is required")
        for field in ("apiVersion", "kind")
        if not isinstance(body.get(field), str) or not body[field]
    ]
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return (*faults, Cause("metadata", "FieldValueRequired", "a mapping with a name is required"))
    if not isinstance(metadata.get("name"), str) or not metadata["name"]:
        faults.append(Cause("metadata.name", "FieldValueRequired", "a text is required"))
    elif "/" in metadata["name"]:
        faults.append(Cause("metadata.name", "FieldValueInvalid", "may not contain a /"))
    if not isinstance(metadata.get("namespace") or "", str):
        faults.append(Cause("metadata.namespace", "FieldValueTypeInvalid", "a text is expected"))
    faults += [
        Cause(f"metadata.{field}", "FieldValueTypeInvalid", "a mapping of texts is expected (quote numbers)")
        for field in ("labels", "annotations")
        if not _texts(metadata.get(field))
    ]
    return tuple(faults)


def _texts(value: object) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(text, str) for text in value.values()))


def label_of_document(document: Document) -> str:
    metadata = document.body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{str(document.body.get('kind') or 'object').lower()}/{name or '?'}"


def tell_invalid(document: Document, label: str, causes: Iterable[Cause]) -> None:
    """Say which document is wrong, and every wrong field with its line, from the first line to the last."""
    click.echo(f"error: {document.where}: {label} is invalid:", err=True)
    placed = ((document.line_of(cause.field) or 0, cause) for cause in causes)
    for line, cause in sorted(placed, key=lambda one: one[0]):
        place = f"line {line}: " if line else ""
        click.echo(f"  {place}{cause.field + ': ' if cause.field else ''}{cause.message}", err=True)


def _tell_refused(placed: Placed, failure: CliFailure) -> None:
    if isinstance(failure, ApiFailure) and failure.causes:
        tell_invalid(placed.document, placed.label, failure.causes)
        return
    why = f"{failure.message} ({failure.reason})" if isinstance(failure, ApiFailure) else str(failure)
    click.echo(f"error: {placed.document.where}: {placed.label}: {why}", err=True)
