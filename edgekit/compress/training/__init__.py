"""Fitting a model to data: the loop, and what belongs to it. Knows no task and no method."""
