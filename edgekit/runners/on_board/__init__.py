"""What runs on the device. Imports nothing of edgekit: the standard library and the runtime
only."""
