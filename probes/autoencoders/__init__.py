"""Sparse autoencoders: one file per architecture over shared, pure losses."""
