"""Pictures for people, of pixels and words: rows of panels, heat maps, histograms, the inside of codecs."""
