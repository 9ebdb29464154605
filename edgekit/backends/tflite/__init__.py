"""LiteRT's `.tflite`: converting, reading a file back, running it on the build host."""
