"""A block of IPv4 addresses: fresh ones first, then those given back longest ago."""

from collections import deque
from ipaddress import IPv4Address, IPv4Network

_RESERVED_FIRST = 4  # network, router, DNS, future use: EC2 keeps them in every subnet
_RESERVED_LAST = 1


class AddressBlock:
    def __init__(self, cidr: str) -> None:
        network = IPv4Network(cidr)
        self._next = int(network.network_address) + _RESERVED_FIRST
        self._end = int(network.broadcast_address) + 1 - _RESERVED_LAST
        self._returned: deque[str] = deque()

    @property
    def free_count(self) -> int:
        return self._end - self._next + len(self._returned)

    def take(self) -> str:
        """An address nobody has. The caller looked at `free_count`; raises IndexError if there is none."""
        if self._next < self._end:
            self._next += 1
            return str(IPv4Address(self._next - 1))
        return self._returned.popleft()

    def give_back(self, address: str) -> None:
        self._returned.append(address)
