"""The shells: observe, plan, act, report. The only place that writes to EC2, and only as the planner decided."""
