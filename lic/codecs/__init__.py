"""Codecs, which turn an image into a file and back: learned and classical codecs behind one interface.

What stands here the command line needs before it loads torch.
"""

TILE = 640
"""Largest side in pixels of the rectangles in which images pass through the transforms."""
