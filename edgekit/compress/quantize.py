"""int8 quantization of a model's graph (PT2E): symmetric per-channel weights, per-tensor
activations, as XNNPACK and LiteRT both run it (Jacob et al. 2018, arXiv:1712.05877). Owns
preparing, calibrating, training mode, converting, and the state of prepared graphs.

A prepared graph computes in float with observers or fake quantization in it. Operators the
quantizer does not know stay float. What torchao 0.18 loses on the way is put back here: its QAT
patterns fix the epsilon and momentum of batch norm, its fused fake quantization trains with other
scales than it converts to, and its moving averages clip tensors that share a scale."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import (
    FakeQuantize,
    FakeQuantizeBase,
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    ObserverBase,
    PlaceholderObserver,
)
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationConfig
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY
from torchao.quantization.pt2e.utils import (
    _fuse_linear_bn_,
    _is_conv_or_conv_transpose_node,
    fold_bn_weights_into_conv_node,
)

from edgekit.captured_graph import argument, batch_norms, capture, layer_of, set_training, tensor_of
from edgekit.compress.clamps import AfterClamps
from edgekit.compress.lstm import rewrite_lstm
from edgekit.compress.observers import widen_shared
from edgekit.compress.patterns import matches, require_matches
from edgekit.errors import ModelError
from edgekit.patches.fast_qat import fast_patterns

Observer = Literal["minmax", "histogram", "moving_average"]

OBSERVERS = {
    "minmax": MinMaxObserver,
    "histogram": HistogramObserver,
    "moving_average": MovingAverageMinMaxObserver,
}
SMALLEST_SCALE = 2**-12
"""Scales do not fall below this; XNNPACK's own limit."""

TORCHAO_EPS = 1e-5
"""The batch-norm epsilon that is fixed in torchao's QAT patterns."""


def prepare_ptq(
    model: nn.Module,
    example: Tensor,
    *,
    keep_float: Sequence[str] = (),
    observer: Observer = "histogram",
) -> GraphModule:
    """The model's graph with batch norm folded and an observer at every activation to be quantized.
    `calibrate` it next.

    `example` is a batch of shape (B, *sample). `observer` estimates activation ranges: the extremes
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
    with fast_patterns():
        graph = prepare_pt2e(graph, _quantizer(model, keep_float, AfterClamps).set_global(config))
    widen_shared(graph)
    return graph


def prepare_qat(
    model: nn.Module, example: Tensor, *, keep_float: Sequence[str] = ()
) -> GraphModule:
    """The model's graph with fake quantization, to be trained. `set_qat_mode` switches it to
    training; parameters keep their names.

    `example` is a batch of shape (B, *sample). Batch norm after linear layers, and after
    convolutions under `keep_float`, is folded first: they train without it. Batch norm after the
    other convolutions trains along and is folded by `convert`; one that follows neither stays. The
    model is not changed.

    Raises ModelError: a model that cannot be captured; a `keep_float` pattern that matches no
    layer."""
    graph = capture(model, example)
    quantizer = _quantizer(model, keep_float).set_global(_qat_config())
    _fuse_linear_bn_(graph)
    _fold_batch_norm(graph, keep_float)
    settings = {
        _running_variance(node): (argument(node, 6), argument(node, 7))
        for node in batch_norms(graph)
    }
    with fast_patterns():
        graph = prepare_qat_pt2e(graph, quantizer)
    _restore_batch_norm(graph, settings)
    widen_shared(graph)
    set_qat_mode(graph, training=False)
    return graph


def prepare_dynamic(
    model: nn.Module, example: Tensor, *, keep_float: Sequence[str] = ()
) -> GraphModule:
    """The model's graph for int8 weights with activations quantized while running. Ready to
    `convert`; nothing to calibrate.

    Linear layers are quantized, and LSTMs, which are rewritten with linear layers and unrolled over
    the example's steps. Everything else stays float. `example` is a batch of shape (B, *sample).
    The model is not changed.

    Raises ModelError: a model without such layers; one that cannot be captured; a `keep_float`
    pattern that matches no layer."""
    quantizer = _quantizer(model, keep_float)
    rewritten = rewrite_lstm(model, keep=keep_float)
    graph = capture(rewritten, example)
    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    with fast_patterns():
        graph = prepare_pt2e(
            graph, quantizer.set_operator_type(torch.ops.aten.linear.default, config)
        )
    if not any(isinstance(module, ObserverBase) for module in graph.modules()):
        raise ModelError(
            "the model has no linear or LSTM layer to quantize dynamically",
            hint="use method: ptq, or look at keep_float",
        )
    with torch.no_grad():
        graph(example)  # shows the weights to their observers
    return graph


def calibrate(graph: GraphModule, batches: Iterable[Tensor]) -> None:
    """Show batches of shape (B, *sample) to the observers of a graph from `prepare_ptq`.

    Raises ModelError: no batch at all; one of the wrong shape; NaN or infinity in an activation,
    naming the layer that makes it."""
    shown = 0
    hooks = [
        module.register_forward_pre_hook(_refuse_nonfinite(layer))
        for module, layer in _observed_layers(graph)
    ]
    try:
        with torch.no_grad():
            for batch in batches:
                if len(batch):
                    _show(graph, batch)
                    shown += len(batch)
    finally:
        for hook in hooks:
            hook.remove()
    if not shown:
        raise ModelError(
            "the calibration set is empty", hint="raise calibration_samples, or look at the dataset"
        )


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
    unseen = [layer for module, layer in _observed_layers(graph) if not _has_seen(module)]
    if unseen:
        raise ModelError(
            f"the ranges of {len(unseen)} tensors are unknown, the first at {unseen[0]}",
            hint="calibrate or train before converting",
        )
    _shift_running_variance(graph)
    with fast_patterns():
        return convert_pt2e(graph, fold_quantize=fold)


def graph_state(graph: GraphModule) -> dict[str, Tensor]:
    """Everything a prepared graph has learned, by name: parameters, statistics, observers and
    switches."""
    return {name: tensor.detach() for name, tensor in graph.state_dict().items()}


def load_graph_state(graph: GraphModule, state: Mapping[str, Tensor]) -> None:
    """Restore, bit for bit, what `graph_state` gave, into a graph prepared alike from a model built
    alike.

    Raises ModelError when names differ, or the shape of a parameter does.
    """
    own = graph.state_dict()
    differing = sorted(own.keys() ^ state.keys())
    differing += [
        name
        for name, parameter in graph.named_parameters()
        if name in state and parameter.shape != state[name].shape
    ]
    if differing:
        raise ModelError(
            f"the saved graph state does not fit: {', '.join(differing[:5])}",
            hint="it belongs to another model or quantization",
        )
    for name, tensor in state.items():
        owner, _, key = name.rpartition(".")
        module = graph.get_submodule(owner)
        if key in module._parameters:
            own[name].copy_(tensor)
        else:
            module._buffers[key] = (
                tensor.clone()
            )  # observers change shape as they learn, and their own loading does not keep up


def symmetric_int8(values: Tensor, scale: float) -> Tensor:
    """round(values / scale) as int8, to even at halves, saturated at ±127: the symmetric weight
    quantization of the graphs made here."""
    return torch.clamp(torch.round(values / scale), -127, 127).to(torch.int8)


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
    return kind().set_filter_function(lambda node: not matches(layer_of(node), keep_float))


def _fold_batch_norm(graph: GraphModule, layers: Sequence[str]) -> None:
    """Fold the batch norm after the convolutions of some layers: torchao would leave its QAT
    arithmetic around them for ever."""
    for node in list(batch_norms(graph)):
        conv = argument(node, 0)
        if (
            matches(layer_of(conv), layers)
            and _is_conv_or_conv_transpose_node(conv)
            and len(conv.users) == 1
        ):
            fold_bn_weights_into_conv_node(conv, argument(conv, 1), argument(conv, 2), node, graph)
    graph.recompile()


def _restore_batch_norm(graph: GraphModule, settings: Mapping[str, tuple[Any, ...]]) -> None:
    """Give the batch norms of a prepared graph their own momentum and epsilon back, which torchao's
    patterns replace by the defaults."""
    for node in batch_norms(graph):
        momentum, eps = settings[_running_variance(node)]
        node.args = (*node.args[:6], momentum, eps, *node.args[8:])
    for norm, plus_eps in _fused(graph):
        plus_eps.args = (argument(plus_eps, 0), argument(norm, 7))
    graph.recompile()


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


def _shift_running_variance(graph: GraphModule) -> None:
    """Make torchao fold batch norm with the graph's epsilon instead of its own: variance + own +
    (epsilon − own) is the same number."""
    for norm, _ in _fused(graph):
        owner, _, key = _running_variance(norm).rpartition(".")
        graph.get_submodule(owner)._buffers[key] = tensor_of(graph, argument(norm, 4)) + (
            argument(norm, 7) - TORCHAO_EPS
        )


def _fused(graph: GraphModule) -> list[tuple[Node, Node]]:
    """Batch norms fused with a convolution by torchao's QAT pattern: the batch-norm node, and the
    node that adds epsilon to its running variance."""
    return [
        (node, user)
        for node in batch_norms(graph)
        for user in argument(node, 4).users
        if user.target is torch.ops.aten.add.Tensor
    ]


def _running_variance(norm: Node) -> str:
    """The name of a batch norm's running variance, which torchao's rewriting leaves as it is."""
    return str(argument(norm, 4).target)


def _observed_layers(graph: GraphModule) -> list[tuple[nn.Module, str]]:
    """The observers and fake quantizers of a graph, each once, with the layer or parameter whose
    result it watches."""
    found: dict[int, tuple[nn.Module, str]] = {}
    for node in graph.graph.nodes:
        if node.op == "call_module":
            module = graph.get_submodule(str(node.target))
            if isinstance(module, ObserverBase | FakeQuantizeBase):
                source = argument(node, 0)
                found.setdefault(
                    id(module),
                    (
                        module,
                        (
                            str(source.target)
                            if source.op == "get_attr"
                            else layer_of(source) or source.name
                        ),
                    ),
                )
    return list(found.values())


def _has_seen(module: nn.Module) -> bool:
    observer: Any = (
        module.activation_post_process if isinstance(module, FakeQuantizeBase) else module
    )
    return isinstance(observer, PlaceholderObserver) or bool(
        observer.min_val.numel() and torch.isfinite(observer.min_val).all()
    )


def _show(graph: GraphModule, batch: Tensor) -> None:
    try:
        graph(batch)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"a calibration batch of shape {tuple(batch.shape)} does not fit the model: {reason}",
            hint="check input.shape",
        ) from None


def _refuse_nonfinite(layer: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not torch.isfinite(inputs[0]).all():
            raise ModelError(
                f"NaN or infinity at {layer} during calibration",
                hint="check the weights, input.mean and input.std",
            )

    return hook
