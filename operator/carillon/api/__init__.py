"""The custom resources as pydantic models: the one source of the CRDs, of validation and of `kubectl explain`."""
