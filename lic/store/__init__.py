"""A trained codec on disk: checkpoints, model files, and what they say of themselves.

What stands here the command line needs before it loads torch.
"""

MODEL_SUFFIX = ".lic-model"
"""By which lic knows its model files."""
