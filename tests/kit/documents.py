"""Valid documents to begin with, as people write them; each call makes its own."""

from typing import Any

API_VERSION = "strata.dev/v1alpha1"


def stack(name: str = "todo", /, **spec: Any) -> dict[str, Any]:
    whole = {
        "region": "us-east-1",
        "vpcId": "vpc-0",
        "subnets": [{"id": "subnet-0a", "zone": "us-east-1a"}, {"id": "subnet-0b", "zone": "us-east-1b"}],
        **spec,
    }
    return {"apiVersion": API_VERSION, "kind": "Stack", "metadata": {"name": name}, "spec": whole}


def layer(name: str = "web", *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": API_VERSION, "kind": "Layer", "metadata": metadata, "spec": {"type": "custom", **spec}}


def instance(name: str = "by-hand", /, **spec: Any) -> dict[str, Any]:
    whole = {"layers": ["web"], **spec}
    return {"apiVersion": API_VERSION, "kind": "Instance", "metadata": {"name": name}, "spec": whole}
