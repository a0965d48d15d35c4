"""Reports: a page of curves, tables and pictures, figures of crops, a sweep's W&B run."""
