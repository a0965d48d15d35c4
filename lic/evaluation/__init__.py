"""Codecs times images: rows, points, curves, tables and reports."""
