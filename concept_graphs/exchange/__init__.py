"""Concept graphs for and from other tools: one module per file format, told apart by content, one registry."""
