"""What runs on a board and measures there, and how it is built, collected and packed for it."""
