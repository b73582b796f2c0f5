"""Measures source files: lines, functions, complexity."""
