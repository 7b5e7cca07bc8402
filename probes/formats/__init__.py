"""Other people's dictionary files: one small module per format, one validated structure, one way to a Dictionary."""
