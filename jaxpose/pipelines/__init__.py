"""Whole jobs that the verbs call."""
