"""Edge proposals: one file each behind one interface."""
