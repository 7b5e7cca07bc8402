"""The pages of the workbench: each builds components, calls the packages and computes nothing itself."""
