"""int8 quantization of a model's graph (PT2E): symmetric per-channel weights, per-tensor
activations, as XNNPACK and LiteRT both run it (Jacob et al. 2018, arXiv:1712.05877). Owns
preparing, calibrating, training mode, converting, and the state of prepared graphs.

A prepared graph computes in float with observers or fake quantization in it. Operators the
quantizer does not know stay float. What torchao 0.18 loses on the way is put back here: its QAT
patterns fix the epsilon and momentum of batch norm, its fused fake quantization trains with other
scales than it converts to, and its moving averages clip tensors that share a scale."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from torch import nn
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import (
    FakeQuantize,
    FakeQuantizeBase,
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    ObserverBase,
)
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationConfig
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY
from torchao.quantization.pt2e.utils import (
    _fuse_linear_bn_,
)

from edgekit.captured_graph import argument, batch_norms, capture, layer_of, set_training
from edgekit.compress.patterns import matches, require_matches
from edgekit.compress.quantize.batch_norm import (
    fold_batch_norm,
    restore_batch_norm,
    running_variance,
    shift_running_variance,
)
from edgekit.compress.quantize.calibrate import has_seen, observed_layers
from edgekit.compress.quantize.clamps import AfterClamps
from edgekit.compress.quantize.lstm import rewrite_lstm
from edgekit.compress.quantize.observers import widen_shared
from edgekit.errors import EdgekitError, ModelError
from edgekit.models.calling import Inputs
from edgekit.patches.speed.qat import fast_patterns
from edgekit.prose import first_line

Observer = Literal["minmax", "histogram", "moving_average"]

OBSERVERS = {
    "minmax": MinMaxObserver,
    "histogram": HistogramObserver,
    "moving_average": MovingAverageMinMaxObserver,
}
SMALLEST_SCALE = 2**-12
"""Scales do not fall below this; XNNPACK's own limit."""


def prepare_ptq(
    model: nn.Module,
    example: Inputs,
    *,
    keep_float: Sequence[str] = (),
    observer: Observer = "histogram",
) -> GraphModule:
    """The model's graph with batch norm folded and an observer at every activation to be quantized.
    `calibrate` it next.

    `example` is a batch by input name. `observer` estimates activation ranges: the extremes
    seen (`minmax`), their moving average (`moving_average`), or the range of least squared error
    (`histogram`). The model is not changed.

    Raises ModelError: a model that cannot be captured; a `keep_float` pattern that matches no
    layer."""
    if observer not in OBSERVERS:
        raise ModelError(
            f"there is no observer {observer!r}", hint=f"choose one of {', '.join(OBSERVERS)}"
        )
    config = get_symmetric_quantization_config(is_per_channel=True)
    activation = dataclasses.replace(
        config.input_activation,
        observer_or_fake_quant_ctr=OBSERVERS[observer].with_args(eps=SMALLEST_SCALE),
    )
    config = dataclasses.replace(config, input_activation=activation, output_activation=activation)
    graph = capture(model, example)
    with _preparing():
        graph = prepare_pt2e(graph, _quantizer(model, keep_float, AfterClamps).set_global(config))
    widen_shared(graph)
    return graph


def prepare_qat(
    model: nn.Module, example: Inputs, *, keep_float: Sequence[str] = ()
) -> GraphModule:
    """The model's graph with fake quantization, to be trained. `set_qat_mode` switches it to
    training; parameters keep their names.

    `example` is a batch by input name. Batch norm after linear layers, and after
    convolutions under `keep_float`, is folded first: they train without it. Batch norm after the
    other convolutions trains along and is folded by `convert`; one that follows neither stays. The
    model is not changed.

    Raises ModelError: a model that cannot be captured; a `keep_float` pattern that matches no
    layer."""
    graph = capture(model, example)
    quantizer = _quantizer(model, keep_float).set_global(_qat_config())
    _fuse_linear_bn_(graph)
    fold_batch_norm(graph, keep_float)
    settings = {
        running_variance(node): (argument(node, 6), argument(node, 7))
        for node in batch_norms(graph)
    }
    with _preparing():
        graph = prepare_qat_pt2e(graph, quantizer)
    restore_batch_norm(graph, settings)
    widen_shared(graph)
    set_qat_mode(graph, training=False)
    return graph


def prepare_dynamic(
    model: nn.Module, example: Inputs, *, keep_float: Sequence[str] = ()
) -> GraphModule:
    """The model's graph for int8 weights with activations quantized while running. Ready to
    `convert`; nothing to calibrate.

    Linear layers are quantized, and LSTMs, which are rewritten with linear layers and unrolled over
    the example's steps. Everything else stays float. `example` is a batch by input name.
    The model is not changed.

    Raises ModelError: a model without such layers; one that cannot be captured; a `keep_float`
    pattern that matches no layer."""
    quantizer = _quantizer(model, keep_float)
    rewritten = rewrite_lstm(model, keep=keep_float)
    graph = capture(rewritten, example)
    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    with _preparing():
        graph = prepare_pt2e(
            graph, quantizer.set_operator_type(torch.ops.aten.linear.default, config)
        )
    if not any(isinstance(module, ObserverBase) for module in graph.modules()):
        raise ModelError(
            "the model has no linear or LSTM layer to quantize dynamically",
            hint="use method: ptq, or look at keep_float",
        )
    with torch.no_grad():
        graph(*example.values())  # shows the weights to their observers
    return graph


def set_qat_mode(
    graph: GraphModule,
    *,
    training: bool,
    freeze_observers: bool = False,
    freeze_batchnorm: bool = False,
) -> None:
    """Switch a graph from `prepare_qat` between training and inference, in place.

    In training, scales follow the data unless `freeze_observers`, and batch norm uses the batch's
    statistics unless `freeze_batchnorm`. In inference nothing is gathered. Fake quantization is
    always on."""
    set_training(graph, dropout=training, batch_norm=training and not freeze_batchnorm)
    for module in graph.modules():
        if isinstance(module, FakeQuantizeBase):
            module.enable_observer(training and not freeze_observers)


def convert(graph: GraphModule, *, fold: bool) -> GraphModule:
    """The quantized graph of a prepared one, which is left as it is. It takes batches of 1 to
    MAX_BATCH.

    With `fold` the weights are int8 tensors (for ExecuTorch); without, they stay float before their
    quantize nodes (for LiteRT). Both give the same numbers, and those of the QAT graph in inference
    mode. Raises ModelError when observers have seen nothing yet."""
    graph = copy.deepcopy(graph)
    _own_annotations(graph)
    if any(isinstance(module, FakeQuantizeBase) for module in graph.modules()):
        set_qat_mode(graph, training=False)
    unseen = [layer for module, layer in observed_layers(graph) if not has_seen(module)]
    if unseen:
        raise ModelError(
            f"the ranges of {len(unseen)} tensors are unknown, the first at {unseen[0]}",
            hint="calibrate or train before converting",
        )
    shift_running_variance(graph)
    with fast_patterns():
        return convert_pt2e(graph, fold_quantize=fold)


def _qat_config() -> QuantizationConfig:
    """XNNPACK's own configuration, with fake quantization whose scales are those that `convert`
    writes down.

    The fused kind of the original computes other scales than it converts to (127.5 steps instead of
    127, and no smallest scale), and lets the scales of weights lag behind the weights: what was
    trained would not be what ships."""
    config = get_symmetric_quantization_config(is_per_channel=True, is_qat=True)
    activation = FakeQuantize.with_args(observer=MovingAverageMinMaxObserver, eps=SMALLEST_SCALE)
    weight = FakeQuantize.with_args(
        observer=MovingAveragePerChannelMinMaxObserver, averaging_constant=1.0, eps=SMALLEST_SCALE
    )
    activation_spec = dataclasses.replace(
        config.input_activation, observer_or_fake_quant_ctr=activation
    )
    weight_spec = dataclasses.replace(config.weight, observer_or_fake_quant_ctr=weight)
    return dataclasses.replace(
        config,
        input_activation=activation_spec,
        output_activation=activation_spec,
        weight=weight_spec,
    )


def _quantizer(
    model: nn.Module, keep_float: Sequence[str], kind: type[XNNPACKQuantizer] = XNNPACKQuantizer
) -> XNNPACKQuantizer:
    require_matches(
        [name for name, _ in model.named_modules() if name],
        keep_float,
        purpose="layers to keep float",
    )
    # XNNPACK's quantizer knows an nn.GRU by the two linear layers of each step, which a graph no
    # longer has: it would fail. The layer stays float, as an nn.LSTM does.
    recurrent = {name for name, layer in model.named_modules() if isinstance(layer, nn.GRU)}

    def may_be_int8(node: Node) -> bool:
        layer = layer_of(node)
        return layer not in recurrent and not matches(layer, keep_float)

    return kind().set_filter_function(may_be_int8)


@contextlib.contextmanager
def _preparing() -> Iterator[None]:
    """What torchao and the quantizer raise, as one error."""
    try:
        with fast_patterns():
            yield
    except EdgekitError:
        raise
    except Exception as error:  # they fail in many ways at graphs that they do not know
        raise ModelError(
            f"the quantizer cannot prepare the model: {first_line(error)}",
            hint="keep the layer in float that it means (keep_float), or use method: dynamic",
        ) from error


def _own_annotations(graph: GraphModule) -> None:
    """Make a copied graph's annotations speak of its own nodes: copying leaves them with the
    original's, where dynamic quantization looks in vain."""
    nodes = {node.name: node for node in graph.graph.nodes}
    for node in nodes.values():
        annotation = node.meta.get(Q_ANNOTATION_KEY)
        if annotation is not None:
            inputs = {
                nodes[source.name]: spec for source, spec in annotation.input_qspec_map.items()
            }
            node.meta[Q_ANNOTATION_KEY] = dataclasses.replace(annotation, input_qspec_map=inputs)
