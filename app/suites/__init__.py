"""Evaluation suites: what each measures, as rows."""
