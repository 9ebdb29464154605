"""What a library writes wrongly, or cannot write at all."""
