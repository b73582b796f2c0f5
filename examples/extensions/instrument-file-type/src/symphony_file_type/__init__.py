"""Tells what a file is by its content, with the magika model."""
