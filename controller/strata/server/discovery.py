"""Discovery: which groups, versions and resources there are, and which version of the daemon answers."""

import platform
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from strata.server.answers import json_answer
from strata.server.resource import Resource

Json = dict[str, Any]


def discovery_routes(resources: Sequence[Resource], version: str) -> Iterator[Route]:
    """A route for each discovery document."""
    groups = {resource.group: resource.version for resource in resources if resource.group}
    yield _route("/api", _core_versions())
    yield _route("/api/v1", _resource_list("v1", [resource for resource in resources if not resource.group]))
    yield _route("/apis", {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*g) for g in groups.items()]})
    for name, group_version in groups.items():
        own = [resource for resource in resources if resource.group == name]
        yield _route(f"/apis/{name}", {"apiVersion": "v1", "kind": "APIGroup", **_group(name, group_version)})
        yield _route(f"/apis/{name}/{group_version}", _resource_list(f"{name}/{group_version}", own))
    yield _route("/version", _version(version))


def _route(path: str, document: Json) -> Route:
    async def show(_request: Request) -> Response:
        return json_answer(document)

    return Route(path, show, methods=["GET"])


def _core_versions() -> Json:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _group(name: str, version: str) -> Json:
    served = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [served], "preferredVersion": served}


def _resource_list(group_version: str, resources: Sequence[Resource]) -> Json:
    listed = [entry for resource in resources for entry in _entries(resource)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def _entries(resource: Resource) -> Iterator[Json]:
    yield {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
        **({"shortNames": list(resource.short_names)} if resource.short_names else {}),
        **({"categories": list(resource.categories)} if resource.categories else {}),
    }
    for path, kind, group, version in resource.subresources:
        yield {
            "name": f"{resource.plural}/{path}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": kind,
            "group": group,
            "version": version,
            "verbs": ["get", "patch", "update"],
        }


def _version(version: str) -> Json:
    major, minor, *_ = [*version.split("."), "0"]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{version}",
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }
