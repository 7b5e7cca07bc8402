"""Concept graphs: nodes with evidence, edges tested by intervening on the subject."""
