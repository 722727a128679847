"""Moves keys between the store and whoever reconciles them. Knows no kind, plans nothing, calls no cloud."""
