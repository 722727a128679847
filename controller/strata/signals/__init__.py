"""Sources of signals that are no part of a cloud."""
