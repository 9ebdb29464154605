"""edgekit's LiteRT runner: load a .tflite, warm up, iterate, print raw times, memory marks and
facts as runner protocol 1. It judges nothing.

Runs on the device as `python3 -I litert_runner/__main__.py`: the standard library, numpy, and
ai_edge_litert or (on older boards) tflite_runtime; Python 3.8 or newer.

The modules are named as the parts of the native runner that do the same. They import one another
relatively: the package is called `litert_runner` there, and longer here."""
