"""Subjects: the frozen models under study, one file per kind."""
