"""Boards as a user handles them, by target: deploy, roll back, verify, set up. Owns the connection
around each of these; the work is done below.

    deploying   deploy, rollback, verify, setup
    adding      a target file from what a board reports; host keys
    check       the doctor

Each function takes a target (or its name or file) and, where a script does several things in a row,
a device that is connected already."""
