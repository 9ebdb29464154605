"""Where an int8 network loses its precision: the error at its output with one layer quantized and
all else in float, and with all but one quantized.

A prepared graph (`prepare_ptq` and calibrated, or `prepare_qat` and trained) has all its ranges. It
is run here with the quantization of some places applied and that of the others passed over, so that
a place costs a forward pass, not a conversion. Owns which places belong to a layer: its weights,
what it takes and what it makes, as with `keep_float`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node
from torchao.quantization.pt2e import FakeQuantizeBase, ObserverBase
from torchao.quantization.pt2e.quantizer import QuantizationSpec

from edgekit.captured_graph import argument, layer_of
from edgekit.compress.quantize.layer_sensitivity import LayerSensitivity
from edgekit.compress.quantize.report import WEIGHTED
from edgekit.models.calling import Inputs, calls_over
from edgekit.models.outputs import named_outputs
from edgekit.progress import Progress, silent
from edgekit.states import STATELESS, States
from edgekit.stats import snr_db

INPUT = "input"


class PartlyQuantized:
    """A prepared graph that can be run with the quantization of any of its places. Leaves the graph
    as it is."""

    def __init__(self, graph: GraphModule, batch: Inputs, states: States = STATELESS) -> None:
        """`batch` holds samples by input name: of a model with states, series, whose steps are
        looked at one by one, each with the states that the float model has there."""
        self._run = _Partly(graph)
        with torch.no_grad():
            self._batch = calls_over(self._run.run, batch, states) if states else batch
        self._places = _places(graph)
        self._float = self._output(())

    def snr_db(
        self, *, only: Collection[str] | None = None, without: Collection[str] = ()
    ) -> float:
        """With all places quantized, or those of `only`; `without` are left in float. Of several
        outputs, that of the worst."""
        return min(self.snr_db_by_output(only=only, without=without).values())

    def snr_db_by_output(
        self, *, only: Collection[str] | None = None, without: Collection[str] = ()
    ) -> dict[str, float]:
        """As `snr_db`, of each output."""
        names = [
            name for name in self._places if (only is None or name in only) and name not in without
        ]
        outputs = self._output(names)
        return {name: snr_db(values, outputs[name]) for name, values in self._float.items()}

    def sensitivities(self, progress: Progress = silent) -> tuple[LayerSensitivity, ...]:
        """All places, the one whose float would gain most first."""
        self._output(self._places)  # counts the weights
        places = []
        for done, (name, observers) in enumerate(self._places.items()):
            progress("sensitivity", done, len(self._places), name)
            weights = sum(self._run.weights.get(observer, 0) for observer in observers)
            places.append(
                LayerSensitivity(
                    name, weights, self.snr_db(only=(name,)), self.snr_db(without=(name,))
                )
            )
        progress("sensitivity", 1, 1)
        return tuple(sorted(places, key=lambda place: (-place.without_db, place.alone_db)))

    def _output(self, names: Collection[str]) -> dict[str, Any]:
        self._run.active = {observer for name in names for observer in self._places[name]}
        with torch.no_grad():
            returned = self._run.run(*self._batch.values())
        return {name: values.numpy() for name, values in named_outputs(returned).items()}


class _Partly(Interpreter):
    """Runs a graph and quantizes at the observers in `active` only. `weights` are the sizes of the
    weights that it has quantized."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.active: set[str] = set()
        self.weights: dict[str, int] = {}
        self._ranges: dict[int, tuple[Tensor, Tensor]] = {}
        self._of_weights = {str(node.target) for node in graph.graph.nodes if _weighted_user(node)}

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = self.fetch_attr(target)
        if not isinstance(module, ObserverBase | FakeQuantizeBase):
            return super().call_module(target, args, kwargs)
        if target not in self.active:
            return args[0]
        if target in self._of_weights:
            self.weights[target] = args[0].numel()
        return (
            module(args[0])
            if isinstance(module, FakeQuantizeBase)
            else self._quantized(module, args[0])
        )

    def _quantized(self, observer: Any, values: Tensor) -> Tensor:
        if id(observer) not in self._ranges:
            self._ranges[id(observer)] = observer.calculate_qparams()  # a search, for histograms
        scale, zero_point = self._ranges[id(observer)]
        if scale.numel() == 1:
            return torch.fake_quantize_per_tensor_affine(
                values, float(scale), int(zero_point), observer.quant_min, observer.quant_max
            )
        return torch.fake_quantize_per_channel_affine(
            values,
            scale,
            zero_point.int(),
            observer.ch_axis,
            observer.quant_min,
            observer.quant_max,
        )


def _places(graph: GraphModule) -> dict[str, list[str]]:
    """The observers of a prepared graph by the layers or operators they belong to, in the graph's
    order. Values between two layers belong to both: they are quantized if one of the two is."""
    observers: dict[str, list[str]] = {}
    for node in graph.graph.nodes:
        if node.op == "call_module" and isinstance(
            graph.get_submodule(str(node.target)), ObserverBase | FakeQuantizeBase
        ):
            for place in dict.fromkeys(_owners(node)):
                observers.setdefault(place, []).append(str(node.target))
    return observers


def _owners(observer: Node) -> list[str]:
    layer = _weighted_user(observer)
    if layer is not None:
        return [layer_of(layer)]
    takers = [_place(taker) for taker in _takers(observer)]
    source = argument(observer, 0)
    if source.op == "placeholder":
        return takers or [INPUT]  # nothing but its takers asks for an int8 input
    return [_place(source), *takers]


def _takers(observer: Node) -> list[Node]:
    """The layers and operators that take what is observed as int8, of themselves and not because
    what comes before them is."""
    source = argument(observer, 0)
    return [
        user
        for user in observer.users
        if user.op == "call_function" and isinstance(_asked_of(user, source), QuantizationSpec)
    ]


def _asked_of(taker: Node, source: Node) -> object:
    annotation = taker.meta.get("quantization_annotation")
    return None if annotation is None else annotation.input_qspec_map.get(source)


def _place(node: Node) -> str:
    """What a node belongs to: the layer whose batch norm or activation it is, else itself."""
    maker = node
    while (
        maker.op == "call_function"
        and not _has_weights(maker)
        and isinstance(argument(maker, 0), Node)
    ):
        maker = argument(maker, 0)  # another observer ends the way
    if maker.op == "call_function" and _has_weights(maker):
        return layer_of(maker)
    operator = getattr(node.target, "__name__", node.name).partition(".")[0]
    return f"{layer_of(node) or node.name}: {operator}"


def _weighted_user(observer: Node) -> Node | None:
    """The layer whose weight goes through this observer."""
    return next(
        (user for user in observer.users if _has_weights(user) and argument(user, 1) is observer),
        None,
    )


def _has_weights(node: Node) -> bool:
    return getattr(node.target, "overloadpacket", None) in WEIGHTED


def cheapest_float(
    network: PartlyQuantized,
    sensitivities: Collection[LayerSensitivity],
    *,
    reach_db: float,
    progress: Progress = silent,
) -> tuple[tuple[str, ...], float]:
    """Layers to keep in float until the output reaches an SNR, and the SNR they give: those first
    that add the most noise for each of their weights.

    Noise of layers adds up, nearly, so that this is close to the fewest bytes. With all layers in
    float what is left is the noise of operators without weights; that may not reach it either."""
    float_layers: list[str] = []
    reached = network.snr_db()
    by_noise_per_weight = sorted(
        sensitivities, key=lambda layer: -(10 ** (-layer.alone_db / 10)) / max(1, layer.weights)
    )
    layers = [layer.name for layer in by_noise_per_weight if layer.weights]
    for done, layer in enumerate(layers):
        if reached >= reach_db:
            break
        progress("keep in float", done, len(layers), layer)
        float_layers.append(layer)
        reached = network.snr_db(without=float_layers)
    progress("keep in float", 1, 1)
    return tuple(float_layers), reached
