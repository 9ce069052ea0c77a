"""Fuzzing by coverage, outside CI: `make fuzz`."""
