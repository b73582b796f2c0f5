"""Draws one self-contained HTML page from measurements."""
