"""Restored models at work, without TensorFlow."""
