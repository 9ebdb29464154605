"""Work that a library does more often than needed. With and without these, bytes are the same."""
