"""The contract of Symphony extensions: manifest, hooks, ports, worker runtime and test kit."""
