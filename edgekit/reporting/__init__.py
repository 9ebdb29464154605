"""Results for people: terminal tables. Computes nothing that a measurement does not know."""
