"""How a call to the simulated EC2 ends when it does not end well.

Ec2Error          EC2 answered with an error code
ReplyLostError    the call was carried out (or refused), and no answer arrived
UnreachableError  no connection: nothing was sent
"""

_STATUS = {
    "AuthFailure": 401,
    "DryRunOperation": 412,
    "InsufficientInstanceCapacity": 500,
    "InternalError": 500,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "MissingAuthenticationToken": 403,
    "RequestLimitExceeded": 503,
    "ServiceUnavailable": 503,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
}


class Ec2Error(Exception):
    """An answer with an error code of EC2, SSM or STS."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        return _STATUS.get(self.code, 400)


class ReplyLostError(Exception):
    """The call reached EC2, and its answer got lost."""


class UnreachableError(Exception):
    """No connection could be made: the region has no endpoint, or the network is down."""


def invalid_value(name: str, value: object, why: str = "") -> Ec2Error:
    return Ec2Error("InvalidParameterValue", f"Value ({value}) for parameter {name} is invalid. {why}".rstrip())
