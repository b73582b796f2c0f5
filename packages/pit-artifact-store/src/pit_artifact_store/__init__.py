"""Keeps every result of a workflow, addressed by its content."""
