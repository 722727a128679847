"""The planner: snapshot in, plan out. Pure and total: no I/O, no clock, no randomness; over Unknown it only waits."""
