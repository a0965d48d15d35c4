"""The best mixture of codecs within a rate."""
