"""Levels, selection maps and the minimality objective."""
