"""Training recipes the workbench can run, one file per method."""
