"""The networks of attention written once more, in PyTorch, from their papers: the oracles of test_models_attention.

Parameter names are ours, so that a state loads; what is computed with them is spelled out here, index by index.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

HEADS = 8


class Axial(nn.Module):
    """Attention along one axis; every product is an einsum."""

    def __init__(self, c: int, side: int, axis: int, positions: str) -> None:
        super().__init__()
        self.c, self.side, self.axis, self.kind = c, side, axis, positions
        terms = 1 if positions == "none" else 3
        self.project, self.project_norm = nn.Conv1d(c, 2 * c, 1, bias=False), nn.BatchNorm1d(2 * c)
        self.score_norm = nn.BatchNorm2d(terms * HEADS)
        self.output_norm = nn.BatchNorm1d(c if positions == "none" else 2 * c)
        if positions != "none":
            self.distances = nn.Parameter(torch.randn(2 * c // HEADS, 2 * side - 1))
        if positions == "gated":
            self.gate_query, self.gate_key = nn.Parameter(torch.tensor([0.1])), nn.Parameter(torch.tensor([0.1]))
            self.gate_value_position, self.gate_value = (
                nn.Parameter(torch.tensor([0.1])),
                nn.Parameter(torch.tensor([1.0])),
            )

    def forward(self, x: Any) -> Any:
        rows = self.axis == 3
        x = x.permute(0, 2, 1, 3) if rows else x.permute(0, 3, 1, 2)
        n, other, c, k = x.shape
        size = c // HEADS
        qkv = self.project_norm(self.project(x.reshape(n * other, c, k))).reshape(n * other, HEADS, 2 * size, k)
        q, key, v = qkv[:, :, : size // 2], qkv[:, :, size // 2 : size], qkv[:, :, size:]
        qk = torch.einsum("bgci,bgcj->bgij", q, key)
        if self.kind == "none":
            w = self.score_norm(qk).softmax(3)
            y = self.output_norm(torch.einsum("bgij,bgcj->bgci", w, v).reshape(n * other, c, k))
        else:
            table = torch.stack(
                [torch.stack([self.distances[:, i - j + k - 1] for j in range(k)], 1) for i in range(k)], 1
            )
            r_q, r_k, r_v = table[: size // 2], table[size // 2 : size], table[size:]
            gate = self.kind == "gated"
            qr = torch.einsum("bgci,cij->bgij", q, r_q) * (self.gate_query if gate else 1)
            kr = torch.einsum("bgci,cij->bgij", key, r_k).transpose(2, 3) * (self.gate_key if gate else 1)
            s = self.score_norm(torch.cat([qk, qr, kr], 1))
            w = (s[:, :HEADS] + s[:, HEADS : 2 * HEADS] + s[:, 2 * HEADS :]).softmax(3)
            sv = torch.einsum("bgij,bgcj->bgci", w, v) * (self.gate_value if gate else 1)
            sve = torch.einsum("bgij,cij->bgci", w, r_v) * (self.gate_value_position if gate else 1)
            both = self.output_norm(torch.cat([sv, sve], -1).reshape(n * other, 2 * c, k))
            y = both[:, 0::2] + both[:, 1::2]
        y = y.reshape(n, other, c, k)
        return y.permute(0, 2, 1, 3) if rows else y.permute(0, 2, 3, 1)


class AxialBlock(nn.Module):
    def __init__(self, i: int, w: int, side: int, positions: str, stride: int) -> None:
        super().__init__()
        self.down, self.down_norm = nn.Conv2d(i, w, 1, bias=False), nn.BatchNorm2d(w)
        if positions == "none":
            self.unused = nn.Conv2d(w, w, 1)
        self.columns, self.rows, self.stride = Axial(w, side, 2, positions), Axial(w, side, 3, positions), stride
        self.up, self.up_norm = nn.Conv2d(w, 2 * w, 1, bias=False), nn.BatchNorm2d(2 * w)
        if stride > 1 or i != 2 * w:
            self.shortcut = nn.Sequential(nn.Conv2d(i, 2 * w, 1, stride, bias=False), nn.BatchNorm2d(2 * w))

    def forward(self, x: Any) -> Any:
        y = self.rows(self.columns(F.relu(self.down_norm(self.down(x)))))
        y = F.relu(F.avg_pool2d(y, 2) if self.stride > 1 else y)
        return F.relu(self.up_norm(self.up(y)) + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class Pyramid(nn.Module):
    def __init__(self, channels: int, side: int, stem: int, w: int, positions: str, deep: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, stem, 7, 2, 3, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
            nn.Conv2d(stem, 128, 3, 1, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, stem, 3, 1, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
        )
        k = side // 2
        stages = [[AxialBlock(stem, w, k, positions, 1)]]
        stages.append([AxialBlock(2 * w, 2 * w, k, positions, 2), AxialBlock(4 * w, 2 * w, k // 2, positions, 1)])
        if deep:
            stages.append(
                [AxialBlock(4 * w, 4 * w, k // 2, positions, 2)]
                + [AxialBlock(8 * w, 4 * w, k // 4, positions, 1) for _ in range(3)]
            )
            stages.append([AxialBlock(8 * w, 8 * w, k // 4, positions, 2)])
        self.stages = nn.ModuleList(nn.Sequential(*s) for s in stages)
        deepest = [nn.Conv2d(16 * w, 16 * w, 3, 2, 1), nn.Conv2d(16 * w, 8 * w, 3, 1, 1)] if deep else []
        deepest += [nn.Conv2d(8 * w, 4 * w, 3, 1, 1)] if deep else []
        self.decoder = nn.ModuleList([*deepest, nn.Conv2d(4 * w, 2 * w, 3, 1, 1), nn.Conv2d(2 * w, w, 3, 1, 1)])
        self.deep = deep

    def forward(self, x: Any) -> Any:
        def up(convolution: Any, y: Any) -> Any:
            return F.relu(F.interpolate(convolution(y), scale_factor=2, mode="bilinear"))

        x1 = self.stages[0](self.stem(x))
        x2 = self.stages[1](x1)
        if not self.deep:
            return up(self.decoder[1], up(self.decoder[0], x2) + x1)
        x3 = self.stages[2](x2)
        x4 = self.stages[3](x3)
        y = up(self.decoder[0], x4) + x4
        y = up(self.decoder[1], y) + x3
        y = up(self.decoder[2], y) + x2
        y = up(self.decoder[3], y) + x1
        return up(self.decoder[4], y)


class AxialUNet(nn.Module):
    def __init__(self, classes: int, channels: int, size: int, w: int, positions: str) -> None:
        super().__init__()
        self.pyramid, self.head = Pyramid(channels, size, w // 2, w, positions, True), nn.Conv2d(w, classes, 1)

    def forward(self, x: Any) -> Any:
        return self.head(self.pyramid(x))


class MedT(nn.Module):
    def __init__(self, classes: int, channels: int, size: int, w: int, whole: str, patch: str) -> None:
        super().__init__()
        self.whole = Pyramid(channels, size, w // 2, w, whole, False)
        self.patch = Pyramid(channels, size // 4, 64, w, patch, True)
        self.join, self.head, self.unused = nn.Conv2d(w, w, 3, 1, 1), nn.Conv2d(w, classes, 1), nn.Conv2d(w, classes, 1)

    def forward(self, x: Any) -> Any:
        y = self.whole(x)
        local, s = y.clone(), x.shape[2] // 4
        for i in range(4):
            for j in range(4):
                place = slice(s * i, s * (i + 1)), slice(s * j, s * (j + 1))
                local[:, :, place[0], place[1]] = self.patch(x[:, :, place[0], place[1]])
        return self.head(F.relu(self.join(y + local)))


class Standardised(nn.Conv2d):
    def forward(self, x: Any) -> Any:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, unbiased=False)
        return F.conv2d(x, (self.weight - mean) / torch.sqrt(variance + 1e-5), None, self.stride, self.padding)


class Bottleneck(nn.Module):
    def __init__(self, i: int, mid: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = Standardised(i, mid, 1, bias=False), nn.GroupNorm(groups, mid, 1e-6)
        self.conv2, self.norm2 = Standardised(mid, mid, 3, stride, 1, bias=False), nn.GroupNorm(groups, mid, 1e-6)
        self.conv3, self.norm3 = Standardised(mid, 4 * mid, 1, bias=False), nn.GroupNorm(groups, 4 * mid, 1e-6)
        if stride > 1 or i != 4 * mid:
            self.shortcut = nn.Sequential(
                Standardised(i, 4 * mid, 1, stride, bias=False), nn.GroupNorm(4 * mid, 4 * mid)
            )

    def forward(self, x: Any) -> Any:
        y = F.relu(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))
        return F.relu((self.shortcut(x) if hasattr(self, "shortcut") else x) + self.norm3(self.conv3(y)))


class TransUNet(nn.Module):
    """Of three stages; without dropout."""

    def __init__(
        self, classes: int, channels: int, size: int, w: int, blocks: Any, e: int, layers: int, heads: int, d: Any
    ) -> None:
        super().__init__()
        groups = min(32, w // 2)
        self.size, self.trunk = size, nn.Module()
        self.trunk.root = nn.Sequential(
            Standardised(channels, w, 7, 2, 3, bias=False), nn.GroupNorm(groups, w, 1e-6), nn.ReLU()
        )
        stages, i = [], w
        for level, count in enumerate(blocks):
            stage = []
            for n in range(count):
                stage.append(Bottleneck(i, w * 2**level, 2 if level and not n else 1, groups))
                i = 4 * w * 2**level
            stages.append(nn.Sequential(*stage))
        self.trunk.stages = nn.ModuleList(stages)
        self.embed, self.positions = nn.Conv2d(i, e, 1), nn.Parameter(torch.randn(1, (size // 16) ** 2, e))
        layer = nn.TransformerEncoderLayer(e, heads, 2 * e, 0.0, F.gelu, 1e-6, True, True)
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(e, 1e-6), enable_nested_tensor=False)

        def conv(a: int, b: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(a, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())

        self.begin = conv(e, 2 * d[0])
        into = [2 * d[0] + 8 * w, d[0] + 4 * w, d[1] + w, d[2]]
        self.join = nn.ModuleList(nn.Sequential(conv(a, b), conv(b, b)) for a, b in zip(into, d, strict=True))
        self.head = nn.Conv2d(d[3], classes, 3, 1, 1)

    def forward(self, x: Any) -> Any:
        half = self.trunk.root(x)
        quarter = self.trunk.stages[0](F.max_pool2d(half, 3, 2))
        eighth = self.trunk.stages[1](quarter)
        last = self.trunk.stages[2](eighth)
        padded = quarter.new_zeros(*quarter.shape[:2], self.size // 4, self.size // 4)
        padded[:, :, : quarter.shape[2], : quarter.shape[3]] = quarter
        side = self.size // 16
        tokens = self.embed(last).flatten(2).transpose(1, 2) + self.positions
        for layer in self.encoder.layers:  # spelled out: norm, heads, sum; norm, dense, sum
            y, a = layer.norm1(tokens), layer.self_attn
            n, length, e = y.shape
            q, k, v = (
                t.reshape(n, length, a.num_heads, -1).transpose(1, 2)
                for t in F.linear(y, a.in_proj_weight, a.in_proj_bias).chunk(3, -1)
            )
            w = (q @ k.transpose(2, 3) / (e // a.num_heads) ** 0.5).softmax(-1)
            tokens = tokens + a.out_proj((w @ v).transpose(1, 2).reshape(n, length, e))
            tokens = tokens + layer.linear2(F.gelu(layer.linear1(layer.norm2(tokens))))
        y = self.begin(self.encoder.norm(tokens).transpose(1, 2).reshape(len(x), -1, side, side))
        for block, skip in zip(self.join, [eighth, padded, half, None], strict=True):
            y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=True)
            y = block(y if skip is None else torch.cat([y, skip], 1))
        return self.head(y)
