"""MTCNN's network that judges faces (Zhang et al. 2016, arXiv:1604.02878), with the layers and
names of the package facenet-pytorch, whose file of weights it takes. The package itself is not
imported."""

from __future__ import annotations

from torch import Tensor, nn


def mtcnn_onet() -> nn.Module:
    """The last of the three, which decides whether a square of 48×48 pixels shows a face, and where
    in it. 389k parameters. Pixels are normalised by mean 0.5 and std 0.502.

    Its weights are in `package:facenet_pytorch/data/onet.pt`. Returns

        face        logits of "something else" and "a face", (batch, 2)
        box         how far the face's left, top, right and bottom are off the square's, in parts of
                    its size, (batch, 4)
        landmarks   five x, then five y, of the eyes, the nose and the corners of the mouth, in
                    parts of the square, (batch, 10)"""
    return ONet()


class ONet(nn.Module):
    """See `mtcnn_onet`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3)
        self.prelu1 = nn.PReLU(32)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3)
        self.prelu2 = nn.PReLU(64)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3 = nn.Conv2d(64, 64, kernel_size=3)
        self.prelu3 = nn.PReLU(64)
        self.pool3 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv4 = nn.Conv2d(64, 128, kernel_size=2)
        self.prelu4 = nn.PReLU(128)
        self.dense5 = nn.Linear(1152, 256)
        self.prelu5 = nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.pool1(self.prelu1(self.conv1(images)))
        maps = self.pool2(self.prelu2(self.conv2(maps)))
        maps = self.pool3(self.prelu3(self.conv3(maps)))
        maps = self.prelu4(self.conv4(maps))
        columns_first = maps.permute(0, 3, 2, 1).flatten(1)  # as its authors' program flattens
        # As an image of one pixel: XNNPACK's PReLU is that of images.
        features = self.prelu5(self.dense5(columns_first)[:, :, None, None]).flatten(1)
        return {
            "face": self.dense6_1(features),
            "box": self.dense6_2(features),
            "landmarks": self.dense6_3(features),
        }
