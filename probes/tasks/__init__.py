"""Task components of an objective: what must be preserved. One file each."""
