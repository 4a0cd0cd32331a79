"""Data set files <-> typed records, reading and writing (NumPy, no TensorFlow)."""
