"""Model: from a normalised array to probabilities."""
