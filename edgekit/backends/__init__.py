"""Ways to run a model on a board. Importing this package imports no torch.

`BACKENDS` holds the built-in ones: an addition is one module and one line here.
"""

BACKENDS = {
    "xnnpack": "edgekit.backends.xnnpack:XNNPACK",
    "portable": "edgekit.backends.portable:PORTABLE",
    "litert": "edgekit.backends.litert:LITERT",
}
