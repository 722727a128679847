"""The command line: what people and scripts type. Talks to the HTTP API alone."""
