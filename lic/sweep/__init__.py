"""Sweeps (``-m``): what their folders and jobs are called, and what is left behind when all jobs have run."""
