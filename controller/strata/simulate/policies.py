"""Reads the policies that are replayed: the Stacks and Layers of files, admitted as the server would admit them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from strata.cli.documents import Document, Unreadable, read_all
from strata.cli.failures import CliFailure
from strata.cli.wishes import label_of_document, tell_invalid
from strata.resources.codec import decode_object
from strata.resources.kinds import LAYER, STACK
from strata.resources.layer import Layer
from strata.resources.meta import API_VERSION, ObjectMeta, Record
from strata.resources.schema import Definition, definitions, judge_create
from strata.resources.stack import ImageSource, SharedTemplate, Stack, StackSpec, SubnetRef

_REPLAYED = (STACK, LAYER)


@dataclass(frozen=True, slots=True)
class Policy:
    """One set of rules: a name for people, and its layers, each with its stack."""

    name: str
    layers: tuple[tuple[Stack, Layer], ...]


def read_policy(name: str, files: tuple[str, ...], *, only: tuple[str, ...]) -> Policy:
    """The policy of these files; `only` names the layers that are wanted (none: all).

    Raises CliFailure for what no server would take, with every wrong field.
    """
    found = list(_objects(files))
    stacks = {stack.metadata.name: stack for stack in found if isinstance(stack, Stack)}
    layers = [layer for layer in found if isinstance(layer, Layer) and (not only or layer.metadata.name in only)]
    if not layers:
        wanted = f" called {' or '.join(only)}" if only else ""
        raise CliFailure(f"{', '.join(files)}: there is no Layer{wanted}")
    return Policy(name, tuple((stacks.get(layer.metadata.namespace) or _plain_stack(layer), layer) for layer in layers))


def name_of(files: tuple[str, ...]) -> str:
    """What a policy is called that was given no name: as its first file, or directory."""
    return Path(files[0]).stem or files[0]


def _objects(files: tuple[str, ...]) -> Iterator[Record]:
    faulty = False
    for document in read_all(files, recursive=False):
        if isinstance(document, Unreadable):
            click.echo(f"error: {document}", err=True)
            faulty = True
        elif (definition := _definition(document)) is not None:
            made = _admitted(document, definition)
            faulty = faulty or made is None
            if made is not None:
                yield made
    if faulty:
        raise CliFailure("nothing is replayed: not every document is right")


def _definition(document: Document) -> Definition | None:
    """None for a kind that has no part in this."""
    kind = document.body.get("kind")
    return next((definitions()[one.plural] for one in _REPLAYED if one.kind == kind), None)


def _admitted(document: Document, definition: Definition) -> Record | None:
    """The object; None after telling what is wrong with it."""
    body = {key: value for key, value in document.body.items() if key != "status"}
    verdict = judge_create(definition, body)
    causes = [*(definition.unknown_cause(path) for path in verdict.unknown), *verdict.causes]
    if document.body.get("apiVersion") != definition.api_version:
        click.echo(f"error: {document.where}: apiVersion must be {definition.api_version}", err=True)
        return None
    if causes:
        tell_invalid(document, label_of_document(document), causes)
        return None
    return decode_object(definition.kind, msgspec.json.encode(body), mod_revision=0)


def _plain_stack(layer: Layer) -> Stack:
    """A stack for a layer whose own is not among the files: it only has to say how a machine is made."""
    spec = StackSpec(
        region="us-east-1",
        vpc_id="vpc-0",
        subnets=tuple(SubnetRef(id=f"subnet-{zone}", zone=f"us-east-1{zone}") for zone in "abc"),
        instance=SharedTemplate(image=ImageSource(id="ami-0"), types=("t3.small",)),
    )
    metadata = ObjectMeta(name=layer.metadata.namespace or "assumed")
    return Stack(api_version=API_VERSION, kind="Stack", metadata=metadata, spec=spec)
