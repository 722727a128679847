"""`strata simulate`: replays clock and load through the real planner, from files; without daemon and EC2."""
