"""Quality, BD-rate and complexity: pure functions."""
