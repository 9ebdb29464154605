"""Field types that recipes and targets share, and the error their models' own rules raise. Knows
neither recipes nor targets."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Section(BaseModel):
    """Base of all parts of a file: frozen, unknown keys refused, defaults of the declared type."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, validate_default=True
    )


def invalid(message: str, hint: str = "", *, key: str = "") -> PydanticCustomError:
    """An error for a model's own rules to raise; `key` says which of the model's keys it is about,
    with dots for one inside."""
    return PydanticCustomError(
        "edgekit", "{message}", {"message": message, "hint": hint, "key": key}
    )


@dataclass(frozen=True)
class Matches:
    """Annotates text that must match a pattern as a whole; `words` tells people, and editors, what
    that means."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {
            "pattern": f"^(?:{self.pattern})$",
            "patternErrorMessage": self.words,
        }

    def _check(self, text: str) -> str:
        # The text itself is not repeated: it may be a secret in the wrong place.
        if not re.fullmatch(self.pattern, text):
            raise invalid(self.words)
        return text


def check_local_path(text: str) -> str:
    """Refuse a path with control characters, or one in which something would have to be expanded:
    only `~/` at its start is."""
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise invalid("a path with a newline or another control character")
    if re.search(r"\$[({]|`", text):
        raise invalid("a path with shell syntax, which is never expanded", "write the path out")
    if variable := re.search(r"\$[A-Za-z_][A-Za-z0-9_]*|%[A-Za-z_][A-Za-z0-9_]*%", text):
        raise invalid(
            f"a path with the variable {variable[0]}, which is never expanded",
            "write the path out; `~/` at its start is your home directory",
        )
    if text.startswith("~") and text != "~" and not text.startswith("~/"):
        raise invalid("a path in the home of another user", "write the absolute path")
    return text


def beside(directory: Path, written: str) -> Path:
    """What a path in a file means: relative to the file's directory, or with `~/` below the home
    directory."""
    return directory / os.path.expanduser(written)


LocalPath = Annotated[str, Field(min_length=1), AfterValidator(check_local_path)]
Name = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        "expected up to 64 letters, digits, '.', '_' or '-', the first a letter or a digit",
    ),
]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
