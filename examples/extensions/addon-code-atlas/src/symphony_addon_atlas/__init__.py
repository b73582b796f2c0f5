"""A panel that shows the report of the code atlas."""
