"""Worlds: data whose truth is known and kept from training code."""
