"""Stacked hourglasses in PyTorch under the names of pytorch-pose and princeton's port.

Twins of `jaxpose.models.hourglass` for parity tests and side-by-side runs: plain modules, NCHW,
which take `channels_last` and `torch.compile`. The SSDs are in torch_twins_ssd.py.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

Block = Callable[[int, int], nn.Module]  # input and output channels -> residual block
_POOL = nn.MaxPool2d(2)


def _residuals(block: Block, count: int, inside: int, features: int) -> nn.Sequential:
    blocks = [block(inside if n == 0 else features, features) for n in range(count)]
    return nn.Sequential(*blocks)


class Bottleneck(nn.Module):
    """pytorch-pose's residual: bn1, conv1, ..., conv3, and `downsample` where channels change."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        half = out // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(inside), nn.Conv2d(inside, half, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(half), nn.Conv2d(half, half, 3, padding=1)
        self.bn3, self.conv3 = nn.BatchNorm2d(half), nn.Conv2d(half, out, 1)
        self.downsample = None
        if inside != out:
            self.downsample = nn.Sequential(nn.Conv2d(inside, out, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B,C,h,w] -> [B,out,h,w]."""
        y = self.conv1(functional.relu(self.bn1(x)))
        y = self.conv2(functional.relu(self.bn2(y)))
        y = self.conv3(functional.relu(self.bn3(y)))
        return y + (x if self.downsample is None else self.downsample(x))


class Hourglass(nn.Module):
    """pytorch-pose's: `hg.<d>`, d = 0 innermost, holds up1, low1, low3 and there also low2."""

    def __init__(self, blocks: int, features: int, depth: int) -> None:
        super().__init__()
        self.hg = nn.ModuleList(
            nn.ModuleList(
                _residuals(Bottleneck, blocks, features, features) for _ in range(3 + (level == 0))
            )
            for level in range(depth)
        )

    def forward(self, x: torch.Tensor, level: int | None = None) -> torch.Tensor:
        """[B,F,h,w] -> [B,F,h,w]; `level` counts down from the outermost."""
        level = len(self.hg) - 1 if level is None else level
        up1, low1, low3, *low2 = self.hg[level]
        y = low1(_POOL(x))
        y = low2[0](y) if level == 0 else self.forward(y, level - 1)
        return up1(x) + functional.interpolate(low3(y), scale_factor=2)


class HourglassNet(nn.Module):
    """pytorch-pose's network; its stem has 1/4, then 1/2, 1 and 1 of the features.

    Args:
      num_joints, stacks, blocks, features, depth: as of `jaxpose.models.StackedHourglass`.
    """

    def __init__(
        self,
        num_joints: int = 16,
        stacks: int = 2,
        blocks: int = 4,
        features: int = 256,
        depth: int = 4,
    ) -> None:
        super().__init__()
        quarter, half = features // 4, features // 2
        self.conv1 = nn.Conv2d(3, quarter, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(quarter)
        self.layer1 = nn.Sequential(Bottleneck(quarter, half))
        self.layer2 = nn.Sequential(Bottleneck(half, features))
        self.layer3 = nn.Sequential(Bottleneck(features, features))
        each, merged = range(stacks), range(stacks - 1)
        self.hg = nn.ModuleList(Hourglass(blocks, features, depth) for _ in each)
        self.res = nn.ModuleList(_residuals(Bottleneck, blocks, features, features) for _ in each)
        self.fc = nn.ModuleList(
            nn.Sequential(nn.Conv2d(features, features, 1), nn.BatchNorm2d(features), nn.ReLU())
            for _ in each
        )
        self.score = nn.ModuleList(nn.Conv2d(features, num_joints, 1) for _ in each)
        self.fc_ = nn.ModuleList(nn.Conv2d(features, features, 1) for _ in merged)
        self.score_ = nn.ModuleList(nn.Conv2d(num_joints, features, 1) for _ in merged)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images [B,3,H,W] -> heat maps of all stacks [stacks,B,K,H/4,W/4]."""
        x = self.layer1(functional.relu(self.bn1(self.conv1(x))))
        x = self.layer3(self.layer2(_POOL(x)))
        maps = []
        for stack, hourglass in enumerate(self.hg):
            y = self.fc[stack](self.res[stack](hourglass(x)))
            maps.append(self.score[stack](y))
            if stack < len(self.fc_):
                x = x + self.fc_[stack](y) + self.score_[stack](maps[-1])
        return torch.stack(maps)


class Conv(nn.Module):
    """princeton's layer: `conv`, then optionally `bn` and ReLU."""

    def __init__(self, inside: int, out: int, size: int, stride: int = 1, norm: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inside, out, size, stride, padding=size // 2)
        self.bn = nn.BatchNorm2d(out) if norm else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B,C,h,w] -> [B,out,h/stride,w/stride]."""
        x = self.conv(x)
        return x if self.bn is None else functional.relu(self.bn(x))


class Residual(nn.Module):
    """princeton's residual; `skip_layer` is registered always and called where channels change."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        half = out // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(inside), Conv(inside, half, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(half), Conv(half, half, 3)
        self.bn3, self.conv3 = nn.BatchNorm2d(half), Conv(half, out, 1)
        self.skip_layer = Conv(inside, out, 1)
        self.needs_skip = inside != out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B,C,h,w] -> [B,out,h,w]."""
        y = self.conv1(functional.relu(self.bn1(x)))
        y = self.conv2(functional.relu(self.bn2(y)))
        y = self.conv3(functional.relu(self.bn3(y)))
        return y + (self.skip_layer(x) if self.needs_skip else x)


class Level(nn.Module):
    """One level of princeton's hourglass; `low2` is the next level, a residual at the last."""

    def __init__(self, features: int, depth: int) -> None:
        super().__init__()
        self.up1, self.low1 = Residual(features, features), Residual(features, features)
        inner = Level(features, depth - 1) if depth > 1 else Residual(features, features)
        self.low2, self.low3 = inner, Residual(features, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B,F,h,w] -> [B,F,h,w]."""
        y = self.low3(self.low2(self.low1(_POOL(x))))
        return self.up1(x) + functional.interpolate(y, scale_factor=2)


class Merge(nn.Module):
    """princeton's 1x1 layer back to the features, `conv`."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.conv = Conv(inside, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B,C,h,w] -> [B,out,h,w]."""
        return self.conv(x)


class PoseNet(nn.Module):
    """princeton's network: one residual at every location; takes NCHW, unlike the original.

    Args:
      num_joints, stacks, features, depth: as of `jaxpose.models.StackedHourglass`.
    """

    def __init__(
        self, num_joints: int = 16, stacks: int = 2, features: int = 256, depth: int = 4
    ) -> None:
        super().__init__()
        quarter, half = features // 4, features // 2
        self.pre = nn.Sequential(
            Conv(3, quarter, 7, stride=2, norm=True),
            Residual(quarter, half),
            nn.MaxPool2d(2),
            Residual(half, half),
            Residual(half, features),
        )
        each, merged = range(stacks), range(stacks - 1)
        self.hgs = nn.ModuleList(nn.Sequential(Level(features, depth)) for _ in each)
        self.features = nn.ModuleList(
            nn.Sequential(Residual(features, features), Conv(features, features, 1, norm=True))
            for _ in each
        )
        self.outs = nn.ModuleList(Conv(features, num_joints, 1) for _ in each)
        self.merge_features = nn.ModuleList(Merge(features, features) for _ in merged)
        self.merge_preds = nn.ModuleList(Merge(num_joints, features) for _ in merged)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images [B,3,H,W] -> heat maps of all stacks [stacks,B,K,H/4,W/4]."""
        x = self.pre(x)
        maps = []
        for stack, hourglass in enumerate(self.hgs):
            y = self.features[stack](hourglass(x))
            maps.append(self.outs[stack](y))
            if stack < len(self.merge_features):
                x = x + self.merge_features[stack](y) + self.merge_preds[stack](maps[-1])
        return torch.stack(maps)
