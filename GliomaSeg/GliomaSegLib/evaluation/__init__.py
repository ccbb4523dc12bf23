"""From two label maps to numbers that can be compared: lesion-wise metrics, their table, calibration."""
