"""Records on disk and batches out of them; the only folder that may import TensorFlow."""
