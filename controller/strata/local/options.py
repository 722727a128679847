"""What the supervisor is told on its command line."""

import msgspec


class WorldOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`home` is the user's home; `data_dir` None: a temporary one; `timeout_s` is for all parts to answer."""

    home: str
    data_dir: str | None
    port_base: int
    timeout_s: float
