"""TLS, mutual TLS, users and their tokens."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.store.collecting import events_through
from tests.contract.store.etcd.conftest import Start
from tests.contract.store.worlds import quick_settings
from tests.kit.certificates import Certificates, make_certificates
from tests.kit.etcd import DEBIAN, WHEEL, Etcd, EtcdOptions

from strata.clock import SystemClock
from strata.errors import StoreAuthError, StoreUnavailable
from strata.store.etcd.settings import EtcdSettings
from strata.store.etcd.store import open_etcd
from strata.store.port import Put

CLOCK = SystemClock()


async def write_and_read(settings: EtcdSettings) -> None:
    async with open_etcd(settings, CLOCK, random.Random(1)) as store:
        written = await store.txn([], [Put("/a/1", b"x")])
        async with store.watch("/a/", start_revision=written.revision) as batches:
            assert (await events_through(batches, written.revision))[-1].key == "/a/1"


async def test_tls_by_ip_address(start_etcd: Start, certificates: Certificates) -> None:
    etcd = start_etcd(EtcdOptions(certificates=certificates))
    await write_and_read(replace(quick_settings(etcd.url), ca_path=certificates.ca))


async def test_tls_by_a_name_that_is_not_the_endpoints(start_etcd: Start, certificates: Certificates) -> None:
    etcd = start_etcd(EtcdOptions(certificates=certificates))
    settings = replace(quick_settings(etcd.url), ca_path=certificates.ca, tls_name="etcd.test")
    await write_and_read(settings)
    with pytest.raises(StoreUnavailable):
        await write_and_read(replace(settings, tls_name="somebody.else"))


async def test_mutual_tls_wants_the_clients_certificate(start_etcd: Start, certificates: Certificates) -> None:
    etcd = start_etcd(EtcdOptions(certificates=certificates, mutual_tls=True))
    settings = replace(quick_settings(etcd.url), ca_path=certificates.ca)
    with pytest.raises(StoreUnavailable):
        await write_and_read(settings)
    await write_and_read(replace(settings, cert_path=certificates.client_cert, key_path=certificates.client_key))


async def test_a_server_of_another_authority_is_not_believed(
    start_etcd: Start, certificates: Certificates, tmp_path: Path
) -> None:
    etcd = start_etcd(EtcdOptions(certificates=certificates))
    other = make_certificates(tmp_path / "other")
    with pytest.raises(StoreUnavailable):
        await write_and_read(replace(quick_settings(etcd.url), ca_path=other.ca))


def with_user(etcd: Etcd, password: str = "secret") -> EtcdSettings:  # noqa: S107 - a test's
    return replace(quick_settings(etcd.url), user="strata", password=password)


async def restart_for_good(etcd: Etcd) -> None:
    """Restart so that the tokens die: a login that is not committed yet comes back with the log's replay."""
    await asyncio.sleep(0.3)
    await asyncio.to_thread(etcd.kill)
    await asyncio.to_thread(etcd.start)


async def test_tokens_that_died_with_the_server_are_renewed_by_calls_watches_and_leases(etcd: Etcd) -> None:
    await asyncio.to_thread(etcd.enable_auth, "root", "strata", "secret", "/a/")
    async with open_etcd(with_user(etcd), CLOCK, random.Random(1)) as store:
        first = await store.txn([], [Put("/a/1", b"x")])
        lease = await store.grant(6)
        async with store.watch("/a/", start_revision=first.revision) as batches:
            await events_through(batches, first.revision)
            await restart_for_good(etcd)
            second = await store.txn([], [Put("/a/2", b"x", lease.lease_id)])
            assert [event.key for event in await events_through(batches, second.revision)] == ["/a/2"]
        assert [kv.key for kv in (await store.list("/a/")).items] == ["/a/1", "/a/2"]
        before_s = lease.safe_until_s()
        await asyncio.sleep(2.2)
        assert lease.safe_until_s() > before_s


@pytest.mark.parametrize("binary", [DEBIAN, WHEEL])
async def test_a_watch_opened_with_a_dead_token_logs_in_again(start_etcd: Start, binary: str) -> None:
    """The answer is a cancelled watch, not an error of the call: `permission denied` (3.5.1), the token (3.4)."""
    etcd = start_etcd(EtcdOptions(), binary)
    await asyncio.to_thread(etcd.enable_auth, "root", "strata", "secret", "/a/")
    async with open_etcd(with_user(etcd), CLOCK, random.Random(1)) as store:
        first = await store.txn([], [Put("/a/1", b"x")])
        await restart_for_good(etcd)
        async with store.watch("/a/", start_revision=first.revision) as batches:
            assert (await events_through(batches, first.revision))[-1].key == "/a/1"


async def test_a_wrong_password_and_a_forbidden_key_are_told_apart_from_an_absence(etcd: Etcd) -> None:
    await asyncio.to_thread(etcd.enable_auth, "root", "strata", "secret", "/a/")
    with pytest.raises(StoreAuthError):
        await write_and_read(with_user(etcd, "wrong"))
    with pytest.raises(StoreAuthError):
        await write_and_read(quick_settings(etcd.url))
    async with open_etcd(with_user(etcd), CLOCK, random.Random(1)) as store:
        assert (await store.status()).store_id  # newer servers keep the rest of it for the root role
        with pytest.raises(StoreAuthError):
            await store.get("/b")
        with pytest.raises(StoreAuthError):
            await store.txn([], [Put("/b", b"")])
        async with store.watch("/b", start_revision=1) as batches:
            with pytest.raises(StoreAuthError):
                await anext(batches)


async def test_a_user_where_authentication_is_off_is_no_obstacle(etcd: Etcd) -> None:
    await write_and_read(with_user(etcd))
