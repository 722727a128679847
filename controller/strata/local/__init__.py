"""`strata up`, `down` and `sim`: a whole Strata on one machine, with a simulated EC2.

`up` is two processes: the one a person sees (commands.py) and a supervisor of its own session (world.py) that owns
etcd, the simulator and the daemon. The supervisor holds a pipe to the first and clears all away when that closes,
however it came to close; its own children cannot outlive it (tether.py).
"""
