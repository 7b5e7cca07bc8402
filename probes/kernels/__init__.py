"""Fast loops of sparse training and encoding, each with a pure-torch twin that always works."""
