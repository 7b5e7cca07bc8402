"""CausalVerse as it was published: a folder of pictures or videos with the factors that made them, read from disk."""
