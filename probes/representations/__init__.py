"""Representations: encoders trained under a task and a constraint, with the latents they read out of what is seen."""
