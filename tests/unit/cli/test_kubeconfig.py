"""Where the server is: flag, environment, file, in this order; and a file's every field counts."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from strata.cli.failures import CliFailure
from strata.cli.kubeconfig import Connection, resolve

_PEM = b"-----BEGIN CERTIFICATE-----\n"


def _config(**cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": "https://one:7443/", **cluster}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "todo"}},
            {"name": "bare", "context": {"cluster": "c"}},
            {"name": "lost", "context": {"cluster": "gone"}},
        ],
    }


def _write(path: Path, config: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return str(path)


def _resolve(
    environment: dict[str, str] | None = None, *, server: str = "", kubeconfig: str = "", context: str = ""
) -> Connection:
    return resolve(
        server=server, kubeconfig=kubeconfig, context=context, environment={"HOME": "/nowhere", **(environment or {})}
    )


def test_the_flag_wins_over_the_environment_and_every_file(tmp_path: Path) -> None:
    file = _write(tmp_path / "k", _config())
    found = _resolve({"STRATA_SERVER": "http://two", "KUBECONFIG": file}, server="http://three/")
    assert (found.url, found.source) == ("http://three", "--server")


def test_the_environment_wins_over_the_environments_files(tmp_path: Path) -> None:
    file = _write(tmp_path / "k", _config())
    assert _resolve({"STRATA_SERVER": "http://two", "KUBECONFIG": file}).url == "http://two"


def test_a_file_that_is_asked_for_wins_over_the_environment(tmp_path: Path) -> None:
    file = _write(tmp_path / "k", _config())
    assert _resolve({"STRATA_SERVER": "http://two"}, kubeconfig=file).url == "https://one:7443"


def test_our_own_variable_wins_over_kubectls(tmp_path: Path) -> None:
    ours = _write(tmp_path / "ours", _config())
    theirs = _write(tmp_path / "theirs", _config(server="https://other"))
    assert _resolve({"STRATA_KUBECONFIG": ours, "KUBECONFIG": theirs}).url == "https://one:7443"


def test_the_default_file_is_in_the_home_directory(tmp_path: Path) -> None:
    _write(tmp_path / ".config/strata/kubeconfig", _config())
    assert _resolve({"HOME": str(tmp_path)}).url == "https://one:7443"


def test_a_file_gives_server_namespace_and_credentials(tmp_path: Path) -> None:
    config = _config(**{"certificate-authority-data": base64.b64encode(_PEM).decode(), "tls-server-name": "strata"})
    config["users"][0]["user"] = {
        "client-certificate": "client.pem",
        "client-key-data": base64.b64encode(b"key").decode(),
        "tokenFile": "token",
    }
    file = _write(tmp_path / "k", config)
    (tmp_path / "client.pem").write_bytes(_PEM)
    (tmp_path / "token").write_text("from a file\n")
    found = _resolve(kubeconfig=file)
    assert (found.namespace, found.authority, found.server_name, found.verify) == ("todo", _PEM, "strata", True)
    assert (found.certificate, found.key, found.token) == (_PEM, b"key", "from a file")


def test_another_context_may_be_chosen(tmp_path: Path) -> None:
    found = _resolve(kubeconfig=_write(tmp_path / "k", _config()), context="bare")
    assert (found.token, found.namespace) == (None, None)
    assert "context 'bare'" in found.source


def test_several_files_are_merged_and_the_first_wins(tmp_path: Path) -> None:
    first = _write(tmp_path / "1", {"current-context": "bare", "contexts": []})
    second = _write(tmp_path / "2", _config())
    found = _resolve({"KUBECONFIG": f"{first}:{second}:{tmp_path / 'absent'}"})
    assert (found.url, found.namespace) == ("https://one:7443", None)


def test_without_any_configuration_the_error_says_where_was_looked_and_what_to_do() -> None:
    with pytest.raises(CliFailure, match=r"/nowhere/\.config/strata/kubeconfig .*does not exist\n.*strata up"):
        _resolve()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"current-context": ""}, "no current-context"),
        ({"current-context": "nope"}, "`contexts` has no 'nope'"),
        ({"current-context": "lost"}, "`clusters` has no 'gone'"),
        ({"clusters": [{"name": "c", "cluster": {"server": "one:7443"}}]}, "not a server's URL"),
        ({"clusters": [{"name": "c"}]}, "needs `name` and `cluster`"),
        ({"users": [{"name": "u", "user": {"exec": {"command": "aws"}}}]}, "credential plugin"),
        ({"users": [{"name": "u", "user": {"client-certificate-data": "%%%"}}]}, "not base64"),
        ({"users": [{"name": "u", "user": {"client-certificate": "absent.pem"}}]}, "No such file"),
    ],
)
def test_a_wrong_file_is_an_error_that_says_what_is_wrong(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(CliFailure, match=said):
        _resolve(kubeconfig=_write(tmp_path / "k", {**_config(), **change}))


@pytest.mark.parametrize("content", ["just words", "a: [", "- a"])
def test_a_file_that_is_no_kubeconfig_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "k").write_text(content)
    with pytest.raises(CliFailure, match="kubeconfig"):
        _resolve(kubeconfig=str(tmp_path / "k"))
