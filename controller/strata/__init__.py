"""Strata: a controller that makes EC2 match stacks of layers."""

__version__ = "0.1.0"
