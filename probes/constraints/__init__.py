"""Constraint components of an objective: what structure is imposed. One file each."""
