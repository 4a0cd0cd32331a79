"""Linen modules: plain keyword arguments; no loss, no data, no I/O."""
