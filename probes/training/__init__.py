"""The one training loop over an Objective. It knows no dictionary."""
