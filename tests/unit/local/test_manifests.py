"""What is shipped beside the program says only what the program does: examples, IAM policy, unit, alerts."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from strata.cloud.ec2_events import Ec2Event, read_event
from strata.metrics import DaemonMetrics
from strata.resources.schema.admission import judge_create
from strata.resources.schema.definition import find_definition
from strata_sim.catalog import default_catalog

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "manifests"
DOCUMENTS = sorted([*MANIFESTS.glob("examples/*.yaml"), *MANIFESTS.glob("aws/*.yaml")])


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_every_document_keeps_its_schema(file: Path) -> None:
    for document in documents(file):
        definition = find_definition(document["kind"].lower())
        assert definition is not None
        verdict = judge_create(definition, document)
        assert (verdict.causes, verdict.unknown) == ((), ())


@pytest.mark.parametrize("file", sorted(MANIFESTS.glob("examples/*.yaml")), ids=lambda file: file.name)
def test_the_examples_name_only_what_the_simulated_region_has(file: Path) -> None:
    region = default_catalog().regions[0]
    types = {spec.name for spec in region.types}
    for document in documents(file):
        spec = document["spec"]
        assert set(spec.get("instance", {}).get("types", [])) <= types
        if document["kind"] == "Stack":
            assert (spec["region"], spec["endpoint"]) == (region.name, "sim")
            assert {(s["id"], s["zone"]) for s in spec["subnets"]} <= {(s.id, s.zone) for s in region.subnets}
            assert spec["instance"]["image"]["ssmParameter"] in region.parameters
            assert spec["instance"]["keyName"] in region.key_names
            assert spec["instance"]["instanceProfile"] in region.instance_profiles
            assert set(spec["instance"]["securityGroupIds"]) <= set(region.security_groups)


def statements() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((MANIFESTS / "iam" / "policy.json").read_text())["Statement"]
    return found


def actions(statement: dict[str, Any]) -> set[str]:
    action = statement["Action"]
    return {action} if isinstance(action, str) else set(action)


def calls_of_the_adapter() -> Iterator[str]:
    """Every boto3 method of EC2, SSM and CloudWatch that the sources of strata.cloud name, as an IAM action."""
    import boto3  # noqa: PLC0415 - slow, and for this one test

    for service in ("ec2", "ssm", "cloudwatch", "sqs"):
        client = boto3.client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")  # noqa: S106 - none
        named = client.meta.method_to_api_mapping
        for file in (ROOT / "controller" / "strata" / "cloud").rglob("*.py"):
            words = set(re.findall(r"\w+", file.read_text()))
            # The batch calls of SQS are covered by the permissions of their single ones.
            yield from (
                f"{service}:{api.removesuffix('Batch')}"
                for method, api in named.items()
                if method in words or api in words
            )


def test_the_policy_allows_exactly_what_the_cloud_adapter_calls() -> None:
    allowed = {action for statement in statements() for action in actions(statement)}
    assert allowed - {"iam:PassRole"} == set(calls_of_the_adapter())


def test_the_policy_changes_no_machine_without_the_clusters_tag() -> None:
    harmless = {"RunInstances", "PassRole", "GetParameters", "ReceiveMessage", "DeleteMessage"}
    for statement in statements():
        if any(not action.split(":")[1].startswith(("Describe", "GetMetricData")) for action in actions(statement)):
            conditions = json.dumps(statement.get("Condition", {}))
            names = {action.split(":")[1] for action in actions(statement)}
            assert names <= harmless or "/strata.dev/cluster" in conditions, statement["Sid"]
            assert "*" not in actions(statement)
            assert statement["Resource"] != "*"


def test_the_queue_gets_the_events_that_the_daemon_reads_and_only_from_its_rule() -> None:
    template = yaml.safe_load((MANIFESTS / "aws" / "events-queue.yml").read_text())
    queue, rule, policy = (template["Resources"][name]["Properties"] for name in ("Queue", "Rule", "WhoMaySend"))
    for kind in rule["EventPattern"]["detail-type"]:
        detail = {"instance-id": "i-0123456789abcdef0", "state": "running", "instance-action": "terminate"}
        event = {"source": rule["EventPattern"]["source"][0], "detail-type": kind, "detail": detail}
        body = json.dumps(event | {"region": "us-east-1", "time": "2026-11-23T12:00:00Z"})
        assert isinstance(read_event(body, region="us-east-1"), Ec2Event)
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]}}}
    (hears,) = [one for one in statements() if one["Sid"] == "HearOfEvents"]
    assert hears["Resource"].endswith(f":{queue['QueueName']}")


def needs(program: str) -> str:
    path = shutil.which(program, path="/usr/bin:/bin:/usr/local/bin")
    if path is None:
        pytest.skip(f"{program} is not installed: see scripts/test-packages")
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "manifests/prometheus/alerts.yml"),
        ("check", "config", "manifests/prometheus/prometheus.yml"),
        ("test", "rules", "tests/cases/alerts.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_no_fault(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([needs("promtool"), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_speak_of_metrics_that_exist() -> None:
    exported = {sample.name for metric in DaemonMetrics("0").registry.collect() for sample in _names(metric)}
    sources = "".join(file.read_text() for file in (ROOT / "controller" / "strata" / "reconcile").rglob("*.py"))
    rules = (MANIFESTS / "prometheus" / "alerts.yml").read_text()
    for name in set(re.findall(r"\bstrata_[a-z0-9_]+", rules)):
        assert name in exported or name.removesuffix("_total") in sources, name


def _names(metric: Any) -> Iterator[Any]:
    """The metric's samples; a metric with labels has none before its first use, so its documented suffixes too."""
    sample = type("Name", (), {})
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
    for suffix in suffixes.get(metric.type, ("",)):
        named = sample()
        named.name = metric.name + suffix
        yield named


def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    program = needs("systemd-analyze")
    unit = tmp_path / "strata.service"
    text = (MANIFESTS / "systemd" / "strata.service").read_text()
    unit.write_text(text.replace("/opt/strata/bin/strata", "/bin/true"))
    done = subprocess.run([program, "verify", unit], capture_output=True, text=True, check=False, env={**os.environ})
    complaints = [line for line in done.stderr.splitlines() if "strata" in line]
    assert (done.returncode, complaints) == (0, [])
