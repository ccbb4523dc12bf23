"""Outcome: from probabilities to what people use."""
