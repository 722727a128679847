"""Reasons of conditions and events. One word each, with when it is used."""

# Stack and region
CLOUD_REACHABLE = "Polled"  # the region was polled completely, lately
CLOUD_UNPOLLED = "NotPolledYet"  # no complete poll since this daemon leads
SUBNET_NOT_FOUND = "SubnetNotFound"  # a subnet of the stack does not exist, or is in another zone or VPC
PAUSED = "Paused"  # spec.paused: nothing is changed in EC2
DELETING = "Deleting"  # the object is being deleted; the message says what it waits for
READY = "Ready"  # all that was asked for is there
CONVERGED = "Converged"  # nothing is under way
CONVERGING = "Converging"  # work is under way

# Layer
IMAGE_NOT_FOUND = "ImageNotFound"  # the AMI or the SSM parameter does not exist
TEMPLATE_INCOMPLETE = "TemplateIncomplete"  # neither layer nor stack says a field that a launch needs
SCHEDULE_INVALID = "ScheduleInvalid"  # a window of the schedule cannot be judged on this host; the number stays
LOAD_HIGH = "LoadHigh"  # the load added instances; the message has the sample
LOAD_LOW = "LoadLow"  # the load removed instances; the message has the sample
DESIRED_CHANGED = "DesiredChanged"  # another number of instances is wanted; the message has the sum
SIGNALS_KNOWN = "SignalsKnown"  # every signal that the load rules need is read
SCALING_LIMITED = "ScalingLimited"  # the load asks for more machines than max
STACK_NOT_FOUND = "StackNotFound"  # the namespace's Stack does not exist
LAYER_NOT_FOUND = "LayerNotFound"  # the Instance's first layer does not exist
TOO_MANY_UNHEALTHY = "TooManyUnhealthy"  # the breaker is open: machines that run are not destroyed
WITHIN_BUDGET = "WithinBudget"  # the breaker is closed
SETTLING = "Settling"  # the breaker is open, below its limit for less than five minutes
SCALED_OUT = "ScaledOut"  # slots were added
SCALED_IN = "ScaledIn"  # slots were removed
TEMPLATE_DRIFT = "TemplateDrift"  # a machine was made from an older template
TOO_OLD = "TooOld"  # a machine is older than spec.update.maxAge
RESTART_REQUESTED = "RestartRequested"  # a machine was launched before spec.update.restartedAt
ROLLING_UPDATE = "RollingUpdate"  # outdated machines are being renewed
ROLLOUT_PAUSED = "RolloutPaused"  # spec.update.paused: no further machine is renewed
ROLLOUT_STALLED = "RolloutStalled"  # a new machine does not come up, so no other is renewed; the message says why
ROLLED_OUT = "RolledOut"  # every machine is renewed
LEAVING = "Leaving"  # slots are on their way out, and run on for a while
UP_TO_DATE = "UpToDate"  # every machine is of the present template

# Instance
LAUNCHING = "Launching"  # a launch is under way
LAUNCHED = "Launched"  # the slot has a machine
LAUNCH_FAILED = "LaunchFailed"  # a launch ended without a machine; the message says why
BACKING_OFF = "BackingOff"  # the slot failed before; the next launch waits
CAPACITY = "InsufficientInstanceCapacity"  # EC2 has no machines of the types and zones asked for
TERMINATED_EXTERNALLY = "TerminatedExternally"  # EC2 says that the machine is gone, and nobody here ended it
STOPPED_EXTERNALLY = "StoppedExternally"  # the machine stopped, and spec.power did not ask for it
SPOT_INTERRUPTED = "SpotInterrupted"  # EC2 takes a spot machine back, after two minutes' notice
REBALANCE = "RebalanceRecommended"  # EC2 says that a spot machine is likelier than usual to be taken back
MARKET_DRIFT = "MarketDrift"  # a slot is bought in another market than spec.instance.spot says
SPOT_RETRY = "SpotRetry"  # a slot that is on demand for want of spot capacity is tried as spot again
SPOT_FALLBACK = "SpotFallback"  # a machine was bought on demand for want of spot capacity
IMPAIRED = "StatusChecksFailed"  # EC2's status checks fail
START_DEADLINE = "StartDeadlinePassed"  # not online within healing.startDeadline
ONLINE = "Online"  # a machine that took another one's place works
CHECKS_OK = "StatusChecksPassed"  # running, and both status checks passed
BOOTING = "Booting"  # running; the status checks have not passed yet
NOT_RUNNING = "NotRunning"  # there is no running machine
HEALING = "Healing"  # a failed machine is being replaced or restarted
TERMINATING = "Terminating"  # the machine is being ended
TERMINATION_PROTECTED = "TerminationProtected"  # disableApiTermination is set on the machine
MANY_MISSING = "ManyMissing"  # so many machines vanished at once, with no end reported, that none is taken as gone
UNKNOWN = "Unknown"  # EC2 could not be read; nothing is decided

# Signals
NOT_READ_YET = "NotReadYet"  # not read since this daemon leads
STALE = "Stale"  # the newest number is too old
NO_POINTS = "NoNumbers"  # the source has no number of it
NO_MEMBERS = "NoMembers"  # no member is online for long enough to be averaged over
TOO_FEW_REPORT = "TooFewReport"  # less than half of the members have a number
INSUFFICIENT_DATA = "InsufficientData"  # CloudWatch says so of the alarm
ALARM_NOT_FOUND = "AlarmNotFound"  # CloudWatch has no alarm of this name

# Cluster
ORPHANS_HELD = "OrphansHeld"  # machines nobody accounts for wait for a person
NO_ORPHANS = "NoOrphans"  # every machine is accounted for
ADOPTED = "Adopted"  # an orphan became a slot of a layer, as a person decided
CRASHED = "Crashed"  # a fault of ours: the pass over this object is tried again, and does nothing until then
UNREADABLE = "Unreadable"  # the stored object cannot be decoded; nothing is done about it
ORPHAN_REAPED = "OrphanReaped"  # such a machine was terminated
