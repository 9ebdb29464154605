"""Names of the metrics of classification, as recipes write them. Apart from the task itself, so
that whoever reads recipes needs no numpy."""

from __future__ import annotations

TOP1_NAME = "top1"
TOP5_NAME = "top5"
