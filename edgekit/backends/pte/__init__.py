"""ExecuTorch's `.pte`: lowering, reading a file back, running it on the build host."""
