"""Ways to run a model on a board. Importing this package imports no torch.

`BACKENDS` holds the built-in ones: an addition is one module and one line here.
"""

from edgekit.registry.table import Table

BACKENDS = Table(
    "backend",
    {
        "xnnpack": "edgekit.backends.xnnpack:XNNPACK",
        "portable": "edgekit.backends.portable:PORTABLE",
        "litert": "edgekit.backends.litert:LITERT",
    },
)

DEFAULT_BACKENDS = ("xnnpack", "litert")
"""What a recipe that names none is exported for: one backend for each runtime."""
