"""A real Kubernetes cluster on one Debian machine, built from Go modules, each cluster in a box of namespaces of its own."""
