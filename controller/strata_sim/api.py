"""The AWS side of the HTTP face: EC2's and STS's query protocol, SSM's JSON 1.1, on one port.

Signatures are not verified, but a request must carry one: its credential scope names the region, its access key the
caller. A reply that shall get lost, and an endpoint that shall be unreachable, are a connection closed without a
byte: a client cannot tell the two apart, and a listening server cannot refuse the connection itself.
"""

import asyncio
import contextlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from strata_sim import actions, cloudwatch_face, render, sqs_face
from strata_sim.actions import Action, R
from strata_sim.errors import Ec2Error, ReplyLostError, UnreachableError
from strata_sim.inventory import Parameter, ParameterAnswer
from strata_sim.shapes import Params
from strata_sim.wire import decode
from strata_sim.world import World, action_named

ABORT: Final = "strata_sim.abort"  # where the server leaves the connection's abort function in the scope
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_DEFAULT_REGION = "us-east-1"
_SSM_TARGET = "AmazonSSM."

_Render = Callable[[Any], str]
_BODIES: dict[str, _Render] = {}


def _renders(action: Action[R], body: Callable[[R], str]) -> None:
    _BODIES[action.name] = body


_renders(actions.RUN_INSTANCES, render.reservation)
_renders(actions.DESCRIBE_INSTANCES, render.instances)
_renders(actions.DESCRIBE_INSTANCE_STATUS, render.statuses)
_renders(actions.TERMINATE_INSTANCES, render.changes)
_renders(actions.STOP_INSTANCES, render.changes)
_renders(actions.START_INSTANCES, render.changes)
_renders(actions.REBOOT_INSTANCES, render.done)
_renders(actions.MODIFY_INSTANCE_ATTRIBUTE, render.done)
_renders(actions.CREATE_TAGS, render.done)
_renders(actions.DELETE_TAGS, render.done)
_renders(actions.DESCRIBE_TAGS, render.tag_rows)
_renders(actions.DESCRIBE_SUBNETS, render.subnets)
_renders(actions.DESCRIBE_IMAGES, render.images)
_renders(actions.DESCRIBE_VPCS, render.vpcs)
_renders(actions.DESCRIBE_SPOT_INSTANCE_REQUESTS, render.spot_requests)


class Api:
    """One endpoint for all regions of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._served = 0

    async def serve(self, request: Request) -> Response:
        body = await request.body()
        self._served += 1
        request_id = str(uuid.UUID(int=self._served))
        await asyncio.sleep(self._world.latency_s / 2)
        try:
            await self._wait(request.headers, body)
            response = self._answer(request.headers, body, request_id)
        except (ReplyLostError, UnreachableError):
            return await _hang_up(request)
        await asyncio.sleep(self._world.latency_s / 2)
        return response

    async def _wait(self, headers: Mapping[str, str], body: bytes) -> None:
        """A long poll of a queue takes its time; what is wrong with the call is said by the call itself."""
        if headers.get("x-amz-target", "") == f"{sqs_face.TARGET}{actions.RECEIVE_MESSAGE.name}":
            with contextlib.suppress(Ec2Error):
                _, region = _credentials(headers, "MissingAuthenticationTokenException")
                await sqs_face.wait_for_messages(self._world, region, _json_object(body))

    def _answer(self, headers: Mapping[str, str], body: bytes, request_id: str) -> Response:
        target = headers.get("x-amz-target", "")
        if target:
            return self._json(target, headers, body, request_id)
        return self._query(headers, body, request_id)

    def _query(self, headers: Mapping[str, str], body: bytes, request_id: str) -> Response:
        try:
            text = self._query_answer(headers, body, request_id)
        except Ec2Error as error:
            return _xml(render.error(error.code, error.message, request_id), error.http_status)
        return _xml(text)

    def _query_answer(self, headers: Mapping[str, str], body: bytes, request_id: str) -> str:
        form = parse_qsl(body.decode(), keep_blank_values=True)
        caller, region = _credentials(headers, "MissingAuthenticationToken")
        action = action_named(dict(form).get("Action", ""))
        if action.service not in {"ec2", "sts"}:
            raise Ec2Error("InvalidAction", f"The action {action.name} is not valid for this web service.")
        answer = self._world.call(region, action, self._decode(action, form, region, caller), caller)
        if action.name == actions.GET_CALLER_IDENTITY.name:
            return render.identity(answer, request_id)  # type: ignore[arg-type]
        return render.answer(action.name, request_id, _BODIES[action.name](answer))

    def _decode(self, action: Action[object], form: list[tuple[str, str]], region: str, caller: str) -> Params:
        try:
            return decode(action.shape, form)
        except Ec2Error as error:
            self._world.refused(region, action.name, caller, error)
            raise

    def _json(self, target: str, headers: Mapping[str, str], body: bytes, request_id: str) -> Response:
        more: dict[str, str] = {}
        try:
            content, status = self._json_answer(target, headers, body), 200
        except Ec2Error as error:
            content, status = {"__type": error.code, "message": error.message}, error.http_status
            more = sqs_face.error_headers(error) if target.startswith(sqs_face.TARGET) else {}
        return Response(
            json.dumps(content),
            status,
            headers={"x-amzn-RequestId": request_id, **more},
            media_type="application/x-amz-json-1.1",
        )

    def _json_answer(self, target: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        caller, region = _credentials(headers, "MissingAuthenticationTokenException")
        name = target.removeprefix(_SSM_TARGET)
        params = _json_object(body)
        if target.startswith(sqs_face.TARGET):
            return sqs_face.answer(self._world, region, target.removeprefix(sqs_face.TARGET), params, caller)
        if target.startswith(cloudwatch_face.TARGET):
            return cloudwatch_face.answer(
                self._world, region, target.removeprefix(cloudwatch_face.TARGET), params, caller
            )
        if name == actions.GET_PARAMETERS.name:
            return _parameters(self._world.call(region, actions.GET_PARAMETERS, params, caller))
        if name == actions.GET_PARAMETER.name:
            return {"Parameter": _parameter(self._world.call(region, actions.GET_PARAMETER, params, caller))}
        raise Ec2Error("UnknownOperationException", f"{target} is not simulated")


def _credentials(headers: Mapping[str, str], missing: str) -> tuple[str, str]:
    """The caller's access key and the region of its credential scope."""
    authorization = headers.get("authorization", "")
    if not authorization:
        raise Ec2Error(missing, "Request is missing Authentication Token")
    found = _CREDENTIAL.search(authorization)
    return (found[1], found[2]) if found else ("unknown", _DEFAULT_REGION)


def _json_object(body: bytes) -> Params:
    try:
        params = json.loads(body or b"{}")
    except ValueError:
        params = None
    if not isinstance(params, dict):
        raise Ec2Error("SerializationException", "The body is not a JSON object")
    return params


def _parameters(found: ParameterAnswer) -> dict[str, Any]:
    return {"Parameters": [_parameter(one) for one in found.found], "InvalidParameters": found.invalid}


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "Name": one.name,
        "Type": "String",
        "Value": one.value,
        "Version": 1,
        "LastModifiedDate": 0.0,
        "ARN": one.arn,
        "DataType": "text",
    }


def _xml(text: str, status: int = 200) -> Response:
    return Response(text, status, media_type="text/xml;charset=UTF-8")


async def _hang_up(request: Request) -> Response:
    request.scope["state"][ABORT]()
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response()
