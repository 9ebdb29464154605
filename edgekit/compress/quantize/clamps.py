"""Where a layer that is followed by a clamp (ReLU6, Hardtanh, a clamp) is quantized: after the
clamp, not before it.

XNNPACK's quantizer knows relu behind a convolution, but no other clamp: it observes what the layer
gives before it is clamped, and lets the clamp share that range. Of a layer that gives −30 to 30,
ReLU6 then leaves 26 of 256 steps. Both backends run layer and clamp as one operator, so nothing
needs the range before. In training with fake quantization the scales are learned and the graph is
left as XNNPACK's quantizer makes it."""

from __future__ import annotations

import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

aten = torch.ops.aten
CLAMPS = {
    aten.hardtanh.default,
    aten.hardtanh_.default,
    aten.relu6.default,
    aten.relu6_.default,
    aten.clamp.default,
    aten.clamp_.default,
}
LAYERS = {aten.conv1d.default, aten.conv2d.default, aten.linear.default}


class AfterClamps(XNNPACKQuantizer):
    """XNNPACK's quantizer, for calibration."""

    def annotate(self, model: GraphModule) -> GraphModule:
        model = super().annotate(model)
        for node in model.graph.nodes:
            if node.target in CLAMPS:
                _move(node.args[0], node)
        return model


def _move(layer: Node, clamp: Node) -> None:
    """Quantize the output of `clamp` as that of `layer` would have been, if `layer` is quantized
    and nothing else sees its output."""
    annotation = layer.meta.get(Q_ANNOTATION_KEY)
    if (
        layer.target in LAYERS
        and len(layer.users) == 1
        and annotation is not None
        and annotation.output_qspec is not None
    ):
        clamp.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(
            output_qspec=annotation.output_qspec, _annotated=True
        )
        annotation.output_qspec = None
