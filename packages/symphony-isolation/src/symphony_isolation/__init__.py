"""Runs every Symphony extension in a supervised process of its own."""
