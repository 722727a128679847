"""One file a command. Each is imported only when it is run."""
