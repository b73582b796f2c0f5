"""Scores artifacts: how easy a text is to read, and how well an artifact is described."""
