"""The HTTP client: what it sends, what it makes of answers, and what it says when there is none."""

import ssl
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.kit.certificates import Certificates, make_certificates
from tests.unit.cli.scripted import Answer, playing

from strata.cli.client import Client
from strata.cli.failures import ApiFailure, CliFailure, LostAnswer, Silent, Unreachable
from strata.cli.kubeconfig import Connection
from strata.cli.session import Session
from strata.clock import SystemClock
from strata.errors import Cause

_CLOCK = SystemClock()


def _client(url: str, *, timeout_s: float | None = 5, **connection: Any) -> Client:
    return Client(Connection(url=url, source="the test", **connection), timeout_s=timeout_s)


def test_no_server_is_told_with_the_url_where_it_came_from_and_what_to_do() -> None:
    with playing() as script:
        pass  # its port is free again
    with pytest.raises(Unreachable, match=r"at http://127.*\(from the test\): connection refused\n.*strata up"):
        _client(script.url).get("/version")


def test_a_name_that_does_not_resolve_is_told() -> None:
    with pytest.raises(Unreachable, match=r"no Strata server answers at http://strata\.invalid"):
        _client("http://strata.invalid").get("/version")


def test_what_is_no_api_server_is_told() -> None:
    with playing(Answer(raw=b"<html>")) as script, pytest.raises(Unreachable, match="not a Strata server"):
        _client(script.url).get("/version")


def test_a_status_error_carries_its_causes() -> None:
    causes = [{"field": "spec.x", "reason": "FieldValueInvalid", "message": "no"}]
    status = {"kind": "Status", "code": 422, "reason": "Invalid", "message": "bad", "details": {"causes": causes}}
    with playing(Answer(status, code=422)) as script, pytest.raises(ApiFailure) as caught:
        _client(script.url).create("/x", {})
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.causes == (Cause("spec.x", "FieldValueInvalid", "no"),)


def test_an_error_that_is_no_status_is_told_by_its_code() -> None:
    with playing(Answer(raw=b"<html>", code=502)) as script, pytest.raises(ApiFailure, match="HTTP 502 Bad Gateway"):
        _client(script.url).get("/x")


@pytest.mark.parametrize("answer", [Answer(raw=b"<html>", code=404), Answer({"detail": "no such page"}, code=404)])
def test_a_path_that_a_server_does_not_have_is_told_as_another_kind_of_server(answer: Answer) -> None:
    with (
        playing(answer) as script,
        pytest.raises(Unreachable, match=r"not a Strata server.* 404 to /version\n.*--server"),
    ):
        _client(script.url).get("/version")


def test_an_answer_of_another_api_is_told_as_another_kind_of_server() -> None:
    with playing(Answer({"hello": "world"})) as script, pytest.raises(Unreachable, match="not a Strata server"):
        _client(script.url).list("/apis/strata.dev/v1alpha1/layers")


def test_a_read_that_broke_is_sent_again() -> None:
    with playing(Answer(lines=[], tail=b"{", cut=True), Answer({"a": 1})) as script:
        assert _client(script.url).get("/x") == {"a": 1}


def test_a_read_that_breaks_again_is_told() -> None:
    with playing() as script, pytest.raises(Unreachable):
        _client(script.url).get("/x")
    assert len(script.asked) == 2


def test_a_write_whose_answer_is_lost_is_not_sent_again_and_its_fate_is_called_unknown() -> None:
    with playing() as script, pytest.raises(LostAnswer, match=r"PATCH /x: .*whether it was done is unknown"):
        _client(script.url).patch("/x", {"a": 1})
    assert [asked.method for asked in script.asked] == ["PATCH"]


def test_a_server_that_puts_off_is_asked_again() -> None:
    later = Answer({"kind": "Status", "code": 429}, code=429, headers={"Retry-After": "0"})
    with playing(later, Answer({"done": True})) as script:
        assert _client(script.url).patch("/x", {"a": 1}) == {"done": True}
    assert [asked.body for asked in script.asked] == [{"a": 1}, {"a": 1}]


def _away(retry_after: str = "1") -> Answer:
    status = {"kind": "Status", "code": 503, "reason": "ServiceUnavailable", "message": "etcd is away"}
    return Answer(status, code=503, headers={"Retry-After": retry_after})


def test_a_server_whose_store_is_away_is_asked_for_five_seconds_and_then_told_in_its_own_words() -> None:
    before_s = _CLOCK.monotonic_s()
    with playing(*[_away()] * 20) as script, pytest.raises(ApiFailure, match=r"ServiceUnavailable\): etcd is away$"):
        _client(script.url, timeout_s=None).get("/x")
    assert 3 <= _CLOCK.monotonic_s() - before_s <= 6
    assert len(script.asked) == 5


def test_a_later_that_is_longer_than_the_call_may_last_is_told_at_once() -> None:
    before_s = _CLOCK.monotonic_s()
    with playing(_away("3")) as script, pytest.raises(ApiFailure, match="etcd is away"):
        _client(script.url, timeout_s=0.5).get("/x")
    assert _CLOCK.monotonic_s() - before_s < 0.5


def test_a_write_is_not_sent_again_to_a_server_whose_store_is_away() -> None:
    with playing(_away()) as script, pytest.raises(ApiFailure, match="etcd is away"):
        _client(script.url).patch("/x", {})
    assert len(script.asked) == 1


@pytest.mark.parametrize("slow", [Answer({}, wait_s=0.6), Answer({"a": "0123456789" * 3}, drip_s=0.1)])
def test_the_whole_call_is_bounded_whether_its_answer_is_silent_or_trickles(slow: Answer) -> None:
    before_s = _CLOCK.monotonic_s()
    with playing(slow) as script:
        with pytest.raises(Silent, match=r"was asked, but .* in time$") as caught:
            _client(script.url, timeout_s=0.3).get("/x")
        assert _CLOCK.monotonic_s() - before_s < 0.55
    assert "Pool(" not in str(caught.value)


def test_a_write_that_is_not_answered_in_time_says_how_to_look_what_came_of_it() -> None:
    path = "/apis/strata.dev/v1alpha1/namespaces/todo/layers"
    with playing(Answer({}, wait_s=0.4), Answer({}, wait_s=0.4)) as script:
        with pytest.raises(
            LostAnswer, match=r"in time; whether it was done is unknown\n.*`strata get layers web -n todo`"
        ):
            _client(script.url, timeout_s=0.2).patch(f"{path}/web", {})
        with pytest.raises(LostAnswer, match="`strata get layers web -n todo`"):
            _client(script.url, timeout_s=0.2).create(path, {"metadata": {"name": "web"}})


def test_answers_come_over_one_connection() -> None:
    with playing(Answer({}), Answer({})) as script:
        client = _client(script.url)
        client.get("/x")
        client.get("/x")
    assert len({asked.port for asked in script.asked}) == 1


def test_a_patch_is_a_merge_patch_with_its_query_in_the_url() -> None:
    with playing(Answer({})) as script:
        _client(script.url).patch("/x", {}, query={"dryRun": "All"})
    (asked,) = script.asked
    assert (asked.query, asked.headers["Content-Type"]) == ({"dryRun": "All"}, "application/merge-patch+json")


def test_a_token_is_never_said_over_plain_http() -> None:
    with playing(Answer({})) as script:
        _client(script.url, token="secret").get("/x")  # noqa: S106 - a token of the test
    assert "Authorization" not in script.asked[0].headers


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def _serving(certificates: Certificates, *, ask_for_client: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_cert, certificates.server_key)
    if ask_for_client:
        context.load_verify_locations(certificates.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_over_tls_authority_client_certificate_and_token_are_used(certificates: Certificates) -> None:
    with playing(Answer({"a": 1}), tls=_serving(certificates, ask_for_client=True)) as script:
        client = _client(
            script.url,
            authority=certificates.ca.read_bytes(),
            certificate=certificates.client_cert.read_bytes(),
            key=certificates.client_key.read_bytes(),
            token="secret",  # noqa: S106 - a token of the test
        )
        assert client.get("/x") == {"a": 1}
    assert script.asked[0].headers["Authorization"] == "Bearer secret"


def test_a_server_of_another_authority_is_not_spoken_to(certificates: Certificates) -> None:
    with playing(Answer({}), tls=_serving(certificates, ask_for_client=False)) as script:
        with pytest.raises(Unreachable, match="certificate"):
            _client(script.url).get("/x")
        assert _client(script.url, verify=False).get("/x") == {}


def test_another_name_of_the_server_may_be_given(certificates: Certificates) -> None:
    authority = certificates.ca.read_bytes()
    with playing(Answer({}), tls=_serving(certificates, ask_for_client=False)) as script:
        assert _client(script.url, authority=authority, server_name="etcd.test").get("/x") == {}
        with pytest.raises(Unreachable, match=r"elsewhere\.test.* doesn't match"):
            _client(script.url, authority=authority, server_name="elsewhere.test").get("/x")


def test_a_certificate_that_is_none_is_an_error_that_says_so() -> None:
    with pytest.raises(CliFailure, match="certificate or key cannot be used"):
        _client("https://127.0.0.1:1", certificate=b"nonsense").get("/x")


@pytest.mark.parametrize(("ahead_s", "told_s"), [(0, 0), (3, 0), (10_800, 10_800), (-90, -90)])
def test_the_time_is_the_servers_once_it_has_answered(ahead_s: int, told_s: int) -> None:
    date = format_datetime(_CLOCK.now() + timedelta(seconds=ahead_s), usegmt=True)
    with playing(Answer({"items": []}, headers={"Date": date})) as script:
        session = Session(options={"server": script.url})
        session.client.get("/version")
    assert abs((session.now() - _CLOCK.now()).total_seconds() - told_s) < 2


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 01 Jan 2029 00:00:00 -0000"])
def test_a_server_that_does_not_say_its_time_has_ours(date: str) -> None:
    with playing(Answer({"items": []}, headers={"Date": date})) as script:
        session = Session(options={"server": script.url})
        session.client.get("/version")
    assert session.client.server_ahead == timedelta(0)
