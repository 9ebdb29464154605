"""What a stage of a recipe does: the object behind a name in the tables of compress/__init__.py.

A method owns its section of the recipe, what it does to a model, how its result is rebuilt from
disk, what the network will be before anything runs, and its lint. Everything else reads these
fields and compares no names. Imports no torch: the functions of an entry import it when called.

A method of your own is one object in a module beside the recipe, named there as
`method: my_module:MINE`:

    class Ternary(QuantizeBase):
        threshold: float = 0.05

    MINE = Method(section=Ternary, run=ternarize, scheme=Scheme(weights="int8"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from edgekit.compress.remarks import Place, Remark
from edgekit.compress.scheme import FLOAT, Scheme
from edgekit.compress.sections import StageBase

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.fx import GraphModule

    from edgekit.compress.checkpoint import Checkpoint, Quantization
    from edgekit.compress.context import StageContext

    Inputs = Mapping[str, Tensor]

Result = tuple["Checkpoint", tuple[str, ...]]
"""The checkpoint after a stage, and remarks for its row in the trace."""


@dataclass(frozen=True)
class Starter:
    """A commented piece of recipe for `recipe new`. `does` is one line on what the method is for;
    `stages` is YAML, in which `{fewer}` stands for a number of epochs; `shrink_ratio` is a limit
    on the size that the method keeps easily. `series`: the method to start with for models of
    series, which are mostly recurrent."""

    does: str
    stages: str
    shrink_ratio: float = 2
    series: bool = False


def _same_network(model: nn.Module, example: Inputs, section: Any) -> nn.Module:
    return model


def _all_layers(model: nn.Module) -> tuple[str, ...]:
    from edgekit.compress.layers import layers_with_weights

    return tuple(layers_with_weights(model))


def _no_remarks(section: Any, known: Any) -> Iterator[Remark]:
    return iter(())


def _no_model_remarks(section: Any, model: nn.Module, example: Inputs) -> Iterator[Remark]:
    return iter(())


@dataclass(frozen=True, kw_only=True)
class Method:
    """One entry of a table.

    `section` is what a recipe may write under the stage. `run(context, checkpoint, section)` does
    the work; the checkpoint is a copy it may change.

    Quantization only: `scheme` is how its results compute. `rebuild(model, example, quantization)`
    makes the prepared graph of a float model, untrained; needed where the scheme is `in_graph`.
    `quantizes(model)` names the layers whose weights get smaller.

    Before anything runs: `preview(model, example, section)` is the network after the stage, as far
    as its shapes go; it may not change the model that it is given. `lint(section, place)` judges
    the text, `lint_model(section, model, example)` the stage with its network, and
    `lint_samples(section, samples)` what depends on how many training samples there are:
    `samples()` loads the data to count them, or returns None where that fails.

    `starter` is for `recipe new`."""

    section: type[StageBase]
    run: Callable[[StageContext, Checkpoint, Any], Result]
    scheme: Scheme = FLOAT
    rebuild: Callable[[nn.Module, Inputs, Quantization], GraphModule] | None = None
    quantizes: Callable[[nn.Module], tuple[str, ...]] = _all_layers
    preview: Callable[[nn.Module, Inputs, Any], nn.Module] = _same_network
    lint: Callable[[Any, Place], Iterator[Remark]] = _no_remarks
    lint_model: Callable[[Any, nn.Module, Inputs], Iterator[Remark]] = _no_model_remarks
    lint_samples: Callable[[Any, Callable[[], int | None]], Iterator[Remark]] = _no_remarks
    starter: Starter | None = None

    @property
    def stage(self) -> str:
        """The kind of stage that the method belongs to: `prune`, `quantize`."""
        (kind,) = get_args(self.section.model_fields["stage"].annotation)
        return str(kind)
