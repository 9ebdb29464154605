"""Bundles: the directories that hold a recipe's result, with all that a device needs to run it and
to prove that it runs right."""
