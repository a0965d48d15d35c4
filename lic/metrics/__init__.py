"""Quality and the list of measures, BD-rate and complexity: pure functions."""
