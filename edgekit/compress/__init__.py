"""Training, pruning and quantization of torch modules; plain arguments in, models and reports out."""
