"""strata rollout against the real API; what the controller would write is written by the tests."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.integration.cli.conftest import Shell, Start, lines_of
from tests.integration.cli.served import Served

from strata.clock import SystemClock
from strata.resources import codec
from strata.resources.kinds import LAYER_REVISION
from strata.resources.meta import API_VERSION, ObjectMeta, OwnerReference
from strata.resources.revision import LayerRevision, LayerRevisionSpec
from strata.resources.stack import ImageSource, InstanceTemplate, RootVolume

Json = dict[str, Any]

_SSM = "/aws/service/debian/release/12/latest/amd64"
_STACK = {
    "region": "us-east-1",
    "vpcId": "vpc-0",
    "subnets": [{"id": "subnet-0a", "zone": "us-east-1a"}],
    "instance": {"image": {"ssmParameter": _SSM}, "types": ["t3.small"], "keyName": "ops"},
}
_WEB = "namespaces/todo/layers/web"
_FIRST = InstanceTemplate(image=ImageSource(id="ami-1"), types=("t3.small",), key_name="ops")


@pytest.fixture
def todo(served: Served, strata: Shell) -> Served:
    """Stack todo with layer web, whose image came to ami-1."""
    strata.environment["STRATA_NAMESPACE"] = "todo"
    served.create("Stack", "stacks", "todo", _STACK)
    served.create("Layer", "layers", "web", {"capacity": {"always": 2}}, namespace="todo")
    _rolled(served)
    return served


def _condition(type_: str, status: str, reason: str, message: str = "", generation: int = 1) -> Json:
    at = "2026-01-01T00:00:00Z"
    said = {"type": type_, "status": status, "reason": reason, "message": message}
    return said | {"observedGeneration": generation, "lastTransitionTime": at}


def _rolled(served: Served, *, outdated: int = 0, message: str = "", reason: str = "Converged", **more: Any) -> None:
    """The status of a layer of two, as the controller writes it for the newest generation."""
    generation = served.get(_WEB)["metadata"]["generation"]
    rollout = {
        "template": "v1-now",
        "revision": 1,
        "updated": 2 - outdated,
        "outdated": outdated,
        "total": 2,
        "since": "2026-01-01T00:00:00Z",
        "message": message,
    }
    image = {"source": f"ssm:{_SSM}", "id": "ami-1", "rootDeviceName": "/d", "resolvedAt": "2026-01-01T00:00:00Z"}
    conditions = [
        _condition("Ready", "True", "Ready", "2 of 2 online", generation),
        _condition("Progressing", "False", reason, message, generation),
    ]
    said = {"observedGeneration": generation, "rollout": rollout, "image": image, "conditions": conditions}
    served.set_status(_WEB, **(said | more))


def _add_revision(served: Served, number: int, template: InstanceTemplate, *, uid: str = "") -> None:
    owner = uid or served.get(_WEB)["metadata"]["uid"]
    name = f"web-r1-{number:016x}"
    reference = OwnerReference(api_version=API_VERSION, kind="Layer", name="web", uid=owner, controller=True)
    metadata = ObjectMeta(
        name=name, namespace="todo", uid=name, creation_timestamp=SystemClock().now(), owner_references=(reference,)
    )
    spec = LayerRevisionSpec(layer="web", revision=number, template=f"v1-{number}", instance=template)
    revision = LayerRevision(api_version=API_VERSION, kind="LayerRevision", metadata=metadata, spec=spec)
    served.put(LAYER_REVISION.key(name, "todo"), codec.encode(revision))


class TestStatus:
    @pytest.mark.usefixtures("todo")
    def test_a_finished_rollout_is_told_at_once(self, strata: Shell) -> None:
        assert strata.ok("rollout", "status", "layer/web") == "layer/web is rolled out: 2 of 2 online\n"

    def test_it_waits_and_tells_what_is_news(self, todo: Served, start: Start) -> None:
        _rolled(todo, outdated=2)
        waiting = start("rollout", "status", "layer", "web", "-n", "todo")
        assert lines_of(waiting, 1) == ["0 of 2 of layer/web are renewed, 2 outdated"]
        _rolled(todo, outdated=1)
        assert lines_of(waiting, 1) == ["1 of 2 of layer/web are renewed, 1 outdated"]
        _rolled(todo)
        text, errors = waiting.communicate(timeout=20)
        assert (waiting.returncode, text, errors) == (0, "layer/web is rolled out: 2 of 2 online\n", "")

    def test_one_that_stands_still_fails_and_says_why(self, todo: Served, strata: Shell) -> None:
        why = "web-3 does not come up: i-3 is not online 10m after its launch"
        _rolled(todo, outdated=2, message=why, reason="RolloutStalled")
        assert strata("rollout", "status", "layer/web").exit_code == 1
        assert strata.failure == f"the rollout of layer/web stands still: {why}"

    def test_without_waiting_it_tells_how_far_it_is(self, todo: Served, strata: Shell) -> None:
        _rolled(todo, outdated=1, message="paused by spec.update.paused")
        said = "1 of 2 of layer/web are renewed, 1 outdated; held: paused by spec.update.paused\n"
        assert strata.ok("rollout", "status", "layer/web", "--watch=false") == said

    def test_what_was_said_of_an_older_spec_does_not_count(self, todo: Served, strata: Shell) -> None:
        todo.patch(_WEB, {"spec": {"instance": {"detailedMonitoring": True}}})
        result = strata("rollout", "status", "layer/web", "--timeout=1s")
        assert result.exit_code == 1
        assert result.stdout == "waiting for the controller to see the last change of layer/web\n"
        assert strata.failure == "timed out waiting for the rollout of layer/web"

    def test_machines_that_are_not_online_yet_are_waited_for(self, todo: Served, strata: Shell) -> None:
        _rolled(todo, conditions=[_condition("Ready", "False", "Converging", "1 of 2 online")])
        said = "2 of 2 of layer/web are renewed; waiting for them: Converging: 1 of 2 online\n"
        assert strata.ok("rollout", "status", "layer/web", "-w", "false") == said

    def test_a_layer_that_only_people_renew_has_no_rollout(self, todo: Served, strata: Shell) -> None:
        todo.patch(_WEB, {"spec": {"update": {"strategy": "OnDelete"}}})
        assert strata("rollout", "status", "layer/web").exit_code == 1
        assert "OnDelete" in strata.failure


class TestHolding:
    def test_it_is_paused_and_resumed(self, todo: Served, strata: Shell) -> None:
        assert strata.ok("rollout", "pause", "layer/web") == "layer/web paused\n"
        assert todo.get(_WEB)["spec"]["update"]["paused"] is True
        assert strata.ok("rollout", "pause", "layer", "web") == "layer/web already paused\n"
        assert strata.ok("rollout", "resume", "layer/web") == "layer/web resumed\n"
        assert todo.get(_WEB)["spec"]["update"]["paused"] is False

    @pytest.mark.usefixtures("todo")
    def test_other_kinds_have_no_rollout(self, strata: Shell) -> None:
        assert strata("rollout", "pause", "stack/todo").exit_code == 1
        assert strata.failure == "stack/todo is not a layer"


class TestRestart:
    def test_all_machines_are_renewed_once(self, todo: Served, strata: Shell) -> None:
        said = "layer/web restarted: all machines are renewed, a few at a time\n"
        assert strata.ok("rollout", "restart", "layer/web") == said
        at = datetime.fromisoformat(todo.get(_WEB)["spec"]["update"]["restartedAt"])
        assert abs(SystemClock().now() - at) < timedelta(minutes=1)

    def test_those_that_are_older(self, todo: Served, strata: Shell) -> None:
        strata.ok("rollout", "restart", "layer/web", "--max-age", "12h")
        at = datetime.fromisoformat(todo.get(_WEB)["spec"]["update"]["restartedAt"])
        assert abs(SystemClock().now() - timedelta(hours=12) - at) < timedelta(minutes=1)


class TestUndo:
    def test_it_writes_what_differs_into_the_layer(self, todo: Served, strata: Shell) -> None:
        _add_revision(todo, 2, InstanceTemplate(image=ImageSource(id="ami-0"), types=("t3.small",), key_name="ops"))
        _add_revision(todo, 3, _FIRST)
        todo.patch(_WEB, {"spec": {"instance": {"detailedMonitoring": True, "types": ["m5.large"]}}})
        said = "layer/web goes back to revision 3: spec.instance.types, spec.instance.detailedMonitoring\n"
        assert strata.ok("rollout", "undo", "layer/web") == said
        assert todo.get(_WEB)["spec"]["instance"] == {"types": ["t3.small"]}

    def test_the_last_other_template_is_chosen(self, todo: Served, strata: Shell) -> None:
        _add_revision(todo, 1, InstanceTemplate(image=ImageSource(id="ami-0"), types=("t3.small",), key_name="ops"))
        _add_revision(todo, 2, _FIRST)
        assert strata.ok("rollout", "undo", "layer/web") == "layer/web goes back to revision 1: spec.instance.image\n"
        assert todo.get(_WEB)["spec"]["instance"]["image"] == {"id": "ami-0", "ssmParameter": ""}

    def test_nothing_is_left_of_a_volume_that_differs(self, todo: Served, strata: Shell) -> None:
        volume = RootVolume(type="gp2", encrypted=False)
        template = InstanceTemplate(
            image=ImageSource(id="ami-1"), types=("t3.small",), key_name="ops", root_volume=volume
        )
        _add_revision(todo, 1, template)
        todo.patch(_WEB, {"spec": {"instance": {"rootVolume": {"sizeGiB": 99}}}})
        strata.ok("rollout", "undo", "layer/web", "--to-revision", "1")
        assert todo.get(_WEB)["spec"]["instance"] == {"rootVolume": {"type": "gp2", "encrypted": False}}

    def test_what_only_the_stack_could_unsay_is_refused(self, todo: Served, strata: Shell) -> None:
        _add_revision(todo, 1, InstanceTemplate(image=ImageSource(id="ami-1"), types=("t3.small",)))
        assert strata("rollout", "undo", "layer/web").exit_code == 1
        assert (
            strata.failure
            == "that template did not have what the stack says of spec.instance.keyName: change the stack"
        )

    def test_to_the_present_template_nothing_is_done(self, todo: Served, strata: Shell) -> None:
        _add_revision(todo, 4, _FIRST)
        said = "layer/web is of revision 4 already\n"
        assert strata.ok("rollout", "undo", "layer/web", "--to-revision", "4") == said
        assert strata("rollout", "undo", "layer/web").exit_code == 1
        assert strata.failure == "layer/web has no earlier template to go back to"
        assert strata("rollout", "undo", "layer/web", "--to-revision", "7").exit_code == 1
        assert strata.failure == "there is no revision 7 of layer/web; kept are: 4"


class TestHistory:
    def test_the_templates_of_this_very_layer_are_listed(self, todo: Served, strata: Shell) -> None:
        _add_revision(todo, 2, _FIRST)
        _add_revision(todo, 1, InstanceTemplate(image=ImageSource(id="ami-0"), types=("t3.small", "t3.medium")))
        _add_revision(todo, 3, _FIRST, uid="another layer of its name")
        _rolled(todo, rollout={"template": "v1-2", "revision": 2, "since": "2026-01-01T00:00:00Z"})
        lines = [line.split() for line in strata.ok("rollout", "history", "layer/web").splitlines()]
        assert lines[0] == ["REVISION", "AGE", "IMAGE", "TYPES", "TEMPLATE", "PRESENT"]
        assert [(line[0], line[2], line[3], line[5:]) for line in lines[1:]] == [
            ("1", "ami-0", "t3.small,t3.medium", []),
            ("2", "ami-1", "t3.small", ["yes"]),
        ]

    def test_one_is_shown_whole(self, todo: Served, strata: Shell) -> None:
        _add_revision(todo, 2, _FIRST)
        whole = strata.ok("rollout", "history", "layer/web", "--revision", "2")
        assert "keyName: ops" in whole
        assert "kind: LayerRevision" in whole
