"""From a recipe to a bundle: its stages one after the other, each result a checkpoint in the cache;
and what they come to, before any training."""
