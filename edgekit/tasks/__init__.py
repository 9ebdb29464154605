"""What models are for: loss, decoding, metrics. Importing this package imports no torch.

`TASKS` holds the built-in ones: an addition is one module and one line here.
"""

TASKS = {"classification": "edgekit.tasks.classification:CLASSIFICATION"}
