"""A probe: a small file on a device that holds a number, such as a temperature. Owns what a probe
is; which ones a device has, and what their numbers mean, is decided where they are read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["frequency_khz", "temperature_c", "power_w", "power_part"]


class Probe(BaseModel):
    """A file on the device that holds a whole number; `scale` makes it a value of `kind`. A
    `power_part` means something only with its siblings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    name: Annotated[str, Field(max_length=200)]
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9/._-]{1,200}$")]
    scale: float = 1.0
