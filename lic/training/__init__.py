"""Ways of training, and what surrounds their steps: options, loggers, checkpoints, resuming."""
