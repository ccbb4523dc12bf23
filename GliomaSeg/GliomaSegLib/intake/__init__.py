"""Intake: from files to one aligned, masked, normalised array."""
