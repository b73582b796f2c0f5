"""Runs workflow graphs in parallel on a durable event log."""
