"""From a checkpoint to `.pte` and `.tflite`, checked against eager PyTorch, in child processes."""
