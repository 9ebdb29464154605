"""Tasks: what a model is for, and so how it learns and how its answers are scored.

`TASKS` holds the built-in ones: an addition is one module and one line here. A recipe names one of
these, or a user's own as `package.module:OBJECT`. Importing this package imports no torch.

    task            what a task provides (the protocol), and looking one up by its name
    scoring         metrics and agreement over outputs that arrive in chunks
    comparing       two artifacts on the same samples
    classification  one of several classes (the names of its metrics are in classification_names)
"""

from __future__ import annotations

from edgekit.registry.table import Table

TASKS = Table("task", {"classification": "edgekit.tasks.classification:CLASSIFICATION"})
