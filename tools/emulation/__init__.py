"""The emulated board behind tools/emulated_pi: `image` makes it, `machine` runs it, `commands` are
what a user and the tests call."""
