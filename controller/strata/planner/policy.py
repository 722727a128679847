"""The numbers that the planner decides by. All times are seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    cluster_id: str
    backoff_base_s: float = 5.0
    backoff_cap_s: float = 600.0
    stable_after_s: float = 600.0
    fallback_retry_s: float = 3600.0
    protected_for_s: float = 300.0  # the breaker closes after so long below its limit
    stalled_after_s: float = 60.0  # a new machine that EC2 refuses for so long stalls a rollout
    launch_unanswered_s: float = 600.0
    launch_sweep_after_s: float = 900.0
    launch_expiry_s: float = 12 * 3600.0
    launch_keep_s: float = 24 * 3600.0
    orphan_grace_s: float = 900.0
    members_per_launch: int = 100  # members, the record and the guards fit in one transaction of 128 operations
    bytes_per_launch: int = 1_000_000  # etcd takes requests of at most 1.5 MB: a Layer pass keeps to this as well
    changes_per_pass: int = 100  # likewise for a Layer pass
