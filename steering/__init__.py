"""Levers: weighted sets of latents that change what a frozen model does."""
