"""Decisions: what to start, skip, stop and record. Pure: no clock, no I/O, no event loop (design 4)."""
