"""EC2's rules for tags: how long, how many, which keys are not ours to set."""

from collections.abc import Iterable, Mapping

from strata_sim.errors import Ec2Error

MAX_TAGS = 50
_MAX_KEY = 128
_MAX_VALUE = 256
_RESERVED = "aws:"


def tags_of(pairs: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags from a request's list of Key and Value. Raises Ec2Error."""
    tags: dict[str, str] = {}
    for pair in pairs:
        key, value = pair["Key"], pair.get("Value", "")
        _check(key, value)
        if key in tags:
            raise Ec2Error("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        tags[key] = value
    require_room(tags)
    return tags


def require_room(tags: Mapping[str, str]) -> None:
    if len(tags) > MAX_TAGS:
        raise Ec2Error("TagLimitExceeded", f"The maximum number of tags for a resource is {MAX_TAGS}")


def _check(key: str, value: str) -> None:
    if not key:
        raise Ec2Error("InvalidParameterValue", "Tag key cannot be empty.")
    if len(key) > _MAX_KEY:
        raise Ec2Error("InvalidParameterValue", f"Tag key exceeds the maximum length of {_MAX_KEY} characters")
    if len(value) > _MAX_VALUE:
        raise Ec2Error("InvalidParameterValue", f"Tag value exceeds the maximum length of {_MAX_VALUE} characters")
    if key.lower().startswith(_RESERVED):
        raise Ec2Error("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
