"""Scores from predictions and ground truth (NumPy)."""
