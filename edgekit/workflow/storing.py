"""Where the measurements of a call go: the results database, or nowhere but to the caller.

The database is tried before anything is measured or trained. A result that cannot be stored in the
end is not lost: it is in the error, and as a rule in the spool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from edgekit.errors import EdgekitError, StoreError
from edgekit.store import require_writable, save

if TYPE_CHECKING:
    from edgekit.measure.measurement import Measurement

Result = TypeVar("Result")
Error = TypeVar("Error", bound=EdgekitError)


class NotStored(StoreError):
    """Measurements could not be stored. `result` is what the call would have returned."""

    def __init__(self, failures: Sequence[StoreError], result: Any) -> None:
        first = failures[0]
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        super().__init__(f"{first.message}{more}", hint=first.hint, details=first.details)
        self.result = result


class Storing:
    """The measurements of one call on their way to the database."""

    def __init__(self, store: bool) -> None:
        """Raises StoreError when there is no database that can be written to."""
        self._store = store
        self._failures: list[StoreError] = []
        if store:
            require_writable()

    def keep(self, measurement: Measurement) -> None:
        """Store a measurement. That it failed is told by `ended`; of one that its session did not
        finish at once, as StoreError, because there is another error to be told."""
        if not self._store:
            return
        try:
            save(measurement)
        except StoreError as error:
            if measurement.failure:
                raise
            self._failures.append(error)

    def ended(self, result: Result) -> Result:
        """The result. Raises NotStored, which holds it, when something could not be stored."""
        if self._failures:
            raise NotStored(self._failures, result)
        return result

    def noted(self, error: Error) -> Error:
        """An error that the call ends with, with a word on what could not be stored."""
        hints = (error.hint, *(failure.message for failure in self._failures))
        error.hint = "; ".join(filter(None, hints))
        return error
