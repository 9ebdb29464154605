"""Pruning: one module per method, beside what several methods share."""
