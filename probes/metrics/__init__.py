"""Metrics with named conventions, and the one interval function."""
