"""What the supervisor tells the process that a person sees: one JSON line each, on its standard output."""

import msgspec

from strata.local.state import WorldRecord


class Starting(msgspec.Struct, frozen=True, tag="starting"):
    """Work began on this part."""

    what: str


class Warned(msgspec.Struct, frozen=True, tag="warned"):
    """Something a person should know."""

    text: str


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """All parts answer."""

    world: WorldRecord
    continued: bool


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It ends now, or did not begin. `log` is the end of the log of the part that failed."""

    text: str
    log: tuple[str, ...] = ()


Message = Starting | Warned | Ready | Failed

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def decode(line: bytes) -> Message:
    """Raises msgspec.MsgspecError for a line that is none."""
    return _decoder.decode(line)


DETACH = b"detach\n"  # the one thing that is said to the supervisor: live on when this pipe closes
