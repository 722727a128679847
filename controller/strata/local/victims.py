"""Which simulated machines `strata sim` means: EC2 ids, `instance/NAME`, or some machines of `layer/NAME`."""

from collections.abc import Callable, Iterable
from typing import Any

import click

from strata.cli.client import Client
from strata.cli.failures import CliFailure
from strata.cli.kinds import INSTANCE, LAYER

_EC2_ID = "i-"


def resolve(
    targets: Iterable[str],
    *,
    count: int,
    lifecycle: str | None = None,
    namespace: Callable[[], str],
    client: Callable[[], Client],
) -> list[str]:
    """The EC2 ids of these targets, `count` of each layer, and of those of this lifecycle; the server is asked only if
    one is not an id.

    Raises click.UsageError for a word of no known form, CliFailure if a target has no machine.
    """
    found: list[str] = []
    for target in targets:
        kind, slash, name = target.partition("/")
        if not slash and target.startswith(_EC2_ID):
            found.append(target)
        elif slash and INSTANCE.named(kind.lower()):
            found.append(_of_instance(client().get(INSTANCE.path(name, namespace()))))
        elif slash and LAYER.named(kind.lower()):
            found += _of_layer(client(), namespace(), name, count, lifecycle)
        else:
            raise click.UsageError(f"{target!r}: say an EC2 id (i-…), instance/NAME or layer/NAME")
    return list(dict.fromkeys(found))


def _of_instance(item: dict[str, Any]) -> str:
    instance_id = _id(item)
    if instance_id is None:
        metadata = item["metadata"]
        raise CliFailure(f"instance {metadata['namespace']}/{metadata['name']} has no machine now")
    return instance_id


def _of_layer(client: Client, namespace: str, name: str, count: int, lifecycle: str | None) -> list[str]:
    items = client.list(INSTANCE.collection(namespace))["items"]
    members = [item for item in items if name in item["spec"]["layers"]]
    ids = [one for item in members if _is(item, lifecycle) and (one := _id(item))]
    if len(ids) < count:
        raise CliFailure(f"layer {namespace}/{name} has {len(ids)} {lifecycle or ''} machines now".replace("  ", " "))
    return ids[:count]


def _is(item: dict[str, Any], lifecycle: str | None) -> bool:
    ec2 = item.get("status", {}).get("ec2") or {}
    return lifecycle is None or ec2.get("lifecycle", "on-demand") == lifecycle


def _id(item: dict[str, Any]) -> str | None:
    return item.get("status", {}).get("ec2", {}).get("instanceId") or None
