"""What a transaction may hold, checked the same way by every store. Pure."""

from collections.abc import Sequence

from strata.store.port import MAX_OPERATIONS, Compare, Operation


def check_txn(compares: Sequence[Compare], operations: Sequence[Operation]) -> None:
    """Raise ValueError for what etcd refuses: too many, an empty key, a key changed twice."""
    if len(compares) > MAX_OPERATIONS or len(operations) > MAX_OPERATIONS:
        raise ValueError(
            f"{len(compares)} compares, {len(operations)} operations: {MAX_OPERATIONS} is the limit of each"
        )
    keys = [operation.key for operation in operations]
    if not all(keys) or not all(compare.key for compare in compares):
        raise ValueError("a key is empty")
    if len(set(keys)) < len(keys):
        raise ValueError("a key is changed twice in one transaction")
