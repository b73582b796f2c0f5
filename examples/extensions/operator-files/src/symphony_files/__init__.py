"""Walks folders and reads files."""
