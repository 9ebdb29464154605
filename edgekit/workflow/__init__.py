"""The operations a user asks for, each one call: they join building, devices, measuring, judging
and storing."""
