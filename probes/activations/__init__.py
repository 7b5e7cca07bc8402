"""Activations: text corpora in, activation stores out, batches for training from a store."""
