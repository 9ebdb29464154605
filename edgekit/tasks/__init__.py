"""Tasks: what a model is for, and so how it learns and how its answers are scored.

`TASKS` holds the built-in ones: an addition is one module and one line here. A recipe names one of
these, or a user's own as `package.module:OBJECT`. Importing this package imports no torch.

    task            what a task provides (the protocol), and looking one up by its name
    scoring         metrics and agreement over outputs that arrive in chunks
    comparing       two artifacts on the same samples
    outputs         what several tasks ask of outputs and targets
    classification  one of several classes (the names of its metrics are in classification_names)
    multilabel      any number of several classes
    regression      numbers
    segmentation    a class for each pixel
    keypoints       points of an object
    embedding       a vector, near those of the same class
    detection       objects with their boxes (decoding in boxes, matching in matching)
"""

from __future__ import annotations

from edgekit.registry.table import Table

TASKS = Table(
    "task",
    {
        "classification": "edgekit.tasks.classification:CLASSIFICATION",
        "multilabel": "edgekit.tasks.multilabel:MULTILABEL",
        "regression": "edgekit.tasks.regression:Regression",
        "segmentation": "edgekit.tasks.segmentation:SEGMENTATION",
        "keypoints": "edgekit.tasks.keypoints:Keypoints",
        "embedding": "edgekit.tasks.embedding:Embedding",
        "detection": "edgekit.tasks.detection:Detection",
    },
)
