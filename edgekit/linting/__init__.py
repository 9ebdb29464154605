"""Checks of a recipe before anything runs, and the edits that put findings right."""
