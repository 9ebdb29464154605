"""edgekit: one recipe takes a PyTorch model, prunes and quantizes it, exports it to ExecuTorch and LiteRT, and measures it on your own board."""

__version__ = "0.1.0"
