"""Real Kubernetes clusters on one Debian machine, built from Go modules, each in a box of namespaces of its own."""
