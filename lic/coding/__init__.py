"""From an image to a file and back: learned and classical codecs behind one interface.

What stands here the command line needs before it loads torch.
"""

MODEL_SUFFIX = ".lic-model"
"""By which lic knows its model files."""
TILE = 640
"""Largest side in pixels of the rectangles in which images pass through the transforms."""
