"""The API server: requests, watches, the lease and events. Speaks HTTP and takes no decisions."""
