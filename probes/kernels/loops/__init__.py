"""Loops compiled by numba, one file per idea; `probes.kernels.fast` alone imports them."""
