"""Components of the workbench: constant templates, drawn by scripts from plain data."""
