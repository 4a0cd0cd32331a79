"""SSD300 and SSD512 in PyTorch under the names of ssd.pytorch, SSD300 under those of torchvision.

Twins of `jaxpose.models.ssd` for parity tests and side-by-side runs: plain modules, NCHW, which
take `channels_last` and `torch.compile`.
"""

import torch
from torch import nn
from torch.nn import functional

_BOXES = {300: (4, 6, 6, 6, 4, 4), 512: (4, 6, 6, 6, 6, 4, 4)}  # default boxes a cell, by level
_CONV4_3, _POOL4 = 22, 23  # places of conv4_3's ReLU and of the pooling after it
_L2_EPSILON = 1e-10


def _scaled(channels: int, width: float) -> int:
    return max(8, int(channels * width / 8 + 0.5) * 8)


def vgg_layers(width: float = 1.0) -> list[nn.Module]:
    """VGG16 up to conv5_3, pool5 without stride, fc6 dilated and fc7: 35 layers, ReLUs included."""
    layers: list[nn.Module] = []
    inside = 3
    for block, (count, channels) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]):
        for _ in range(count):
            out = _scaled(channels, width)
            layers += [nn.Conv2d(inside, out, 3, padding=1), nn.ReLU()]
            inside = out
        # Only the third pooling meets an odd side: 75 becomes 38.
        layers.append(nn.MaxPool2d(2, ceil_mode=block == 2))
    layers[-1] = nn.MaxPool2d(3, stride=1, padding=1)
    fc = _scaled(1024, width)
    layers += [nn.Conv2d(inside, fc, 3, padding=6, dilation=6), nn.ReLU()]
    return [*layers, nn.Conv2d(fc, fc, 1), nn.ReLU()]


def _extra_convs(size: int, width: float) -> list[tuple[nn.Conv2d, nn.Conv2d]]:
    """The pair of convolutions before every source map after fc7."""
    tails = [(3, 2, 1)] * (2 if size == 300 else 4)
    tails += [(3, 1, 0)] * 2 if size == 300 else [(4, 1, 1)]
    pairs, inside = [], _scaled(1024, width)
    for number, (kernel, stride, padding) in enumerate(tails):
        narrow, out = (_scaled(c if number == 0 else c // 2, width) for c in (256, 512))
        wide = nn.Conv2d(narrow, out, kernel, stride, padding)
        pairs.append((nn.Conv2d(inside, narrow, 1), wide))
        inside = out
    return pairs


def _heads(size: int, width: float, values: int) -> nn.ModuleList:
    channels = [512, 1024, 512] + [256] * (len(_BOXES[size]) - 3)
    return nn.ModuleList(
        nn.Conv2d(_scaled(c, width), boxes * values, 3, padding=1)
        for c, boxes in zip(channels, _BOXES[size], strict=True)
    )


def _flat(maps: list[torch.Tensor], values: int) -> torch.Tensor:
    """Heads' outputs [B,boxes*values,h,w] by level -> [B,P,values]."""
    rows = [m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, values) for m in maps]
    return torch.cat(rows, 1)


class L2Norm(nn.Module):
    """Unit length over channels times a learnt scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), 20.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B,C,h,w] -> [B,C,h,w]."""
        norm = x.pow(2).sum(1, keepdim=True).sqrt() + _L2_EPSILON
        return x / norm * self.weight[:, None, None]


class SSD(nn.Module):
    """ssd.pytorch's names: vgg, L2Norm, extras, loc, conf.

    Args:
      size: 300 or 512.
      num_classes: background included.
      width: multiplier of the channels, as of `jaxpose.models.SSD`.
    """

    def __init__(self, size: int = 300, num_classes: int = 21, width: float = 1.0) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.vgg = nn.ModuleList(vgg_layers(width))
        self.L2Norm = L2Norm(_scaled(512, width))
        self.extras = nn.ModuleList(conv for pair in _extra_convs(size, width) for conv in pair)
        self.loc = _heads(size, width, 4)
        self.conf = _heads(size, width, num_classes)

    def base(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images [B,3,S,S] -> conv4_3 and fc7, after their ReLUs."""
        for place, layer in enumerate(self.vgg):
            x = layer(x)
            if place == _CONV4_3:
                conv4_3 = x
        return conv4_3, x

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images [B,3,S,S] -> class logits [B,P,C] and offsets [B,P,4]."""
        conv4_3, x = self.base(x)
        sources = [self.L2Norm(conv4_3), x]
        for number, conv in enumerate(self.extras):
            x = functional.relu(conv(x))
            if number % 2:
                sources.append(x)
        logits = [head(source) for head, source in zip(self.conf, sources, strict=True)]
        offsets = [head(source) for head, source in zip(self.loc, sources, strict=True)]
        return _flat(logits, self.num_classes), _flat(offsets, 4)


class _Backbone(nn.Module):
    """torchvision's backbone: scale_weight, features, extra; fc6 and fc7 close extra.0."""

    def __init__(self, width: float) -> None:
        super().__init__()
        layers = vgg_layers(width)
        self.scale_weight = nn.Parameter(torch.full((_scaled(512, width),), 20.0))
        self.features = nn.Sequential(*layers[:_POOL4])
        fc = nn.Sequential(*layers[30:])
        pairs = _extra_convs(300, width)
        extra = [nn.Sequential(a, nn.ReLU(), b, nn.ReLU()) for a, b in pairs]
        self.extra = nn.ModuleList([nn.Sequential(*layers[_POOL4:30], fc), *extra])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Images [B,3,300,300] -> six source maps."""
        x = self.features(x)
        sources = [self.scale_weight[:, None, None] * functional.normalize(x)]
        for block in self.extra:
            x = block(x)
            sources.append(x)
        return sources


class _Head(nn.Module):
    """torchvision's classification or regression head, `module_list`."""

    def __init__(self, width: float, values: int) -> None:
        super().__init__()
        self.values = values
        self.module_list = _heads(300, width, values)

    def forward(self, sources: list[torch.Tensor]) -> torch.Tensor:
        """Source maps -> [B,P,values]."""
        maps = [head(x) for head, x in zip(self.module_list, sources, strict=True)]
        return _flat(maps, self.values)


class TorchvisionSSD(nn.Module):
    """torchvision's names of ssd300_vgg16, up to the raw outputs.

    Args:
      num_classes: background included.
      width: multiplier of the channels, as of `jaxpose.models.SSD`.
    """

    def __init__(self, num_classes: int = 91, width: float = 1.0) -> None:
        super().__init__()
        self.backbone = _Backbone(width)
        self.head = nn.ModuleDict(
            {
                "classification_head": _Head(width, num_classes),
                "regression_head": _Head(width, 4),
            }
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images [B,3,300,300] -> class logits [B,P,C] and offsets [B,P,4]."""
        sources = self.backbone(x)
        return self.head["classification_head"](sources), self.head["regression_head"](sources)
