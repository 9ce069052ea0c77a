"""Carillon: jobs on a schedule, on an event or on demand in Kubernetes, and a memory of what happened."""

__version__ = "0.1.0"
