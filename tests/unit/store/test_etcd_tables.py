"""etcd's errors, versions and settings: what each means."""

from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from strata.store.etcd.errors import Meaning, meaning_of
from strata.store.etcd.kv import range_of
from strata.store.etcd.settings import EtcdSettings
from strata.store.etcd.version import (
    is_recommended,
    is_supported,
    is_unsafe,
    parse_version,
    synchronises_progress,
)

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "details", "meaning"),
    [
        (Code.UNAVAILABLE, "failed to connect to all addresses; last error: Connection refused", Meaning.UNSENT),
        (Code.UNAVAILABLE, "DNS resolution failed for etcd-0:2379", Meaning.UNSENT),
        (Code.UNAVAILABLE, "etcdserver: no leader", Meaning.REFUSED_FOR_NOW),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests", Meaning.REFUSED_FOR_NOW),
        (Code.UNAVAILABLE, "etcdserver: request timed out, possibly due to previous leader failure", Meaning.UNKNOWN),
        (Code.UNAVAILABLE, "etcdserver: leader changed", Meaning.UNKNOWN),
        (Code.UNAVAILABLE, "Socket closed", Meaning.UNKNOWN),
        (Code.UNAVAILABLE, "Connection reset by peer", Meaning.UNKNOWN),
        (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", Meaning.UNKNOWN),
        (Code.CANCELLED, "", Meaning.UNKNOWN),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", Meaning.NO_SPACE),
        (Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted", Meaning.COMPACTED),
        (Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision", Meaning.FUTURE),
        (Code.NOT_FOUND, "etcdserver: requested lease not found", Meaning.LEASE_GONE),
        (Code.UNAUTHENTICATED, "etcdserver: invalid auth token", Meaning.STALE_TOKEN),
        (Code.INVALID_ARGUMENT, "etcdserver: user name is empty", Meaning.STALE_TOKEN),
        (Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old", Meaning.STALE_TOKEN),
        (Code.INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password", Meaning.DENIED),
        (Code.PERMISSION_DENIED, "etcdserver: permission denied", Meaning.FORBIDDEN),
        (Code.UNKNOWN, "auth: permission denied", Meaning.FORBIDDEN),
        (Code.INVALID_ARGUMENT, "etcdserver: request is too large", Meaning.INVALID),
        (Code.UNKNOWN, "something new", Meaning.UNKNOWN),
    ],
)
def test_an_error_means(code: grpc.StatusCode, details: str, meaning: Meaning) -> None:
    assert meaning_of(details, code) is meaning


@pytest.mark.parametrize(
    ("text", "judged"),  # supported, unsafe, recommended, progress is synchronised
    [
        ("3.3.27", (False, False, False, False)),
        ("3.4.23", (True, False, False, False)),
        ("3.4.25", (True, False, False, True)),
        ("3.4.42", (True, False, True, True)),
        ("3.5.0", (True, True, False, False)),
        ("3.5.2", (True, True, False, False)),
        ("3.5.3", (True, False, False, False)),
        ("3.5.8", (True, False, False, True)),
        ("3.5.28", (True, False, True, True)),
        ("3.6.0-rc.1", (True, False, False, True)),
        ("3.6.9", (True, False, True, True)),
        ("3.7.0", (True, False, True, True)),
        ("4.0.0", (True, False, True, True)),
    ],
)
def test_a_version_is_judged(text: str, judged: tuple[bool, bool, bool, bool]) -> None:
    version = parse_version(text)
    found = (is_supported(version), is_unsafe(version), is_recommended(version), synchronises_progress(version))
    assert found == judged


@pytest.mark.parametrize(
    ("prefix", "start_key", "expected"),
    [
        ("/a/", None, (b"/a/", b"/a0")),
        ("/a/", "/a/b\0", (b"/a/b\0", b"/a0")),
        ("/a/", "/", (b"/a/", b"/a0")),  # a page never starts before its prefix
        ("", None, (b"\0", b"\0")),
        ("\udcff", None, (b"\xff", b"\0")),  # nothing sorts behind it: no end
        ("a\udcff", None, (b"a\xff", b"b")),
    ],
)
def test_a_prefix_is_a_range(prefix: str, start_key: str | None, expected: tuple[bytes, bytes]) -> None:
    assert range_of(prefix, start_key) == expected


@pytest.mark.parametrize("endpoint", ["127.0.0.1:2379", "http://127.0.0.1", "ftp://h:1", "http://:2379", ""])
def test_an_endpoint_that_is_no_url_with_a_port_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="etcd"):
        EtcdSettings(endpoints=(endpoint,))


def test_settings_that_cannot_work_are_refused() -> None:
    good = EtcdSettings(endpoints=("https://h:1",))
    with pytest.raises(ValueError, match="no endpoint"):
        replace(good, endpoints=())
    with pytest.raises(ValueError, match="both"):
        replace(good, cert_path=Path("client.pem"))
    with pytest.raises(ValueError, match="silence"):
        replace(good, silence_limit_s=good.progress_interval_s)


def test_the_password_is_not_in_what_is_printed() -> None:
    assert "hunter2" not in repr(EtcdSettings(endpoints=("https://h:1",), user="u", password="hunter2"))  # noqa: S106
