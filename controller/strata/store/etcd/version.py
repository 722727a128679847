"""What a server's version means. Pure. The sources are etcd's changelogs and its 3.5 post-mortem."""

import re

Version = tuple[int, int, int]

OLDEST: Version = (3, 4, 0)  # manual progress and fragments came with 3.4

# By minor version, the first patch that ...
_SYNCHRONISED_PROGRESS = {(3, 4): 25, (3, 5): 8}  # sends a manual progress answer only behind all events up to it
_RECOMMENDED = {(3, 4): 42, (3, 5): 28, (3, 6): 9}  # has no known lost event, stale read or authentication bypass


def parse_version(text: str) -> Version:
    """Read `3.5.13` or `3.6.0-rc.1`. Raises ValueError."""
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a version")
    major, minor, patch = (int(part) for part in match.groups())
    return major, minor, patch


def is_supported(version: Version) -> bool:
    return version >= OLDEST


def is_unsafe(version: Version) -> bool:
    """Whether a kill under load can leave committed transactions off one member (etcd issue 13766)."""
    return (3, 5, 0) <= version <= (3, 5, 2)


def is_recommended(version: Version) -> bool:
    return version[2] >= _RECOMMENDED.get(version[:2], 0) and version >= OLDEST


def synchronises_progress(version: Version) -> bool:
    """Whether a progress answer to a request proves that every event up to its revision was sent before it."""
    return version >= OLDEST and version[2] >= _SYNCHRONISED_PROGRESS.get(version[:2], 0)
