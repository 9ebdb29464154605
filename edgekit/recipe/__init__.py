"""What a user may write in a recipe, and reading it."""
