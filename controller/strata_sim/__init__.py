"""A simulated EC2 and SSM: one core on an injected clock, an in-process face and an HTTP face."""
