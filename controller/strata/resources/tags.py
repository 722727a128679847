"""The EC2 tags that Strata writes. Only those of a launch are ever read to decide anything."""

from strata.resources.meta import API_GROUP

# In RunInstances itself, so that no machine of ours is ever without them.
CLUSTER = f"{API_GROUP}/cluster"  # the cluster's UUID: what is not tagged so is never touched
STACK = f"{API_GROUP}/stack"
LAUNCH = f"{API_GROUP}/launch"  # the Launch record's id, equal to the ClientToken
TEMPLATE = f"{API_GROUP}/template"  # the versioned digest of the template

# Written after the launch, for people and bills.
LAYER = f"{API_GROUP}/layer"
INSTANCE = f"{API_GROUP}/instance"
NAME = "Name"
