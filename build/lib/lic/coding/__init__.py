"""From an image to a file and back: learned and classical codecs behind one interface."""
