"""The keys that only format 1 had, as it checked them. Owns their types and ranges, so that what is
wrong with them is said in the words of the file; all other keys are those of format 2."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.recipe.limits import Percent
from edgekit.yaml_documents.fields import invalid


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Export(_Part):
    formats: tuple[Literal["executorch", "litert"], ...] = Field(
        default=("executorch", "litert"), min_length=1
    )
    backend: Literal["xnnpack", "portable"] = "xnnpack"

    @model_validator(mode="after")
    def _each_format_once(self) -> Self:
        if len(set(self.formats)) < len(self.formats):
            raise invalid("a format is named twice", key="formats")
        return self


class _Verify(_Part):
    top1_agreement_min_percent: Percent = 98.0


class _Limits(_Part):
    top1_min_percent: Percent | None = None
    top1_max_drop_points: Percent | None = None


class _Budget(_Part):
    variants: dict[str, _Limits] = {}


class _Gate(_Part):
    accuracy_max_drop_points: Percent | None = None


class KeysOfFormat1(_Part):
    export: _Export = _Export()
    verify: _Verify = _Verify()
    budget: _Budget = _Budget()
    gate: _Gate = _Gate()
