"""Run a program that dies with its parent.

    tether.py PARENT-PID PROGRAM [ARGUMENT…]

Started by processes.py as a file of its own, before the program; must import nothing of Strata, so that it costs
little. The kernel sends SIGKILL when the parent ends, also if the parent was killed with SIGKILL itself.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h; kept across execve


def main() -> None:
    """Tie this process to its parent, then become the program."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent ended before the child began")  # and so no signal would ever come
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
