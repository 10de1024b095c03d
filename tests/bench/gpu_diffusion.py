"""A diffusion transformer of SD3-Medium's shape (Esser et al., 2024) with random weights, to compare with.

Two streams, pictures and text, that attend to each other; modulated by the time. Eager mode, as people run it.

Legend: B pictures, l picture tokens, T text tokens, w width.
"""

import statistics
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.bench.gpu_models import Machine


@dataclass(frozen=True)
class Shape:
    """SD3-Medium's, at 1024x1024: 2x2 patches of a 128x128 latent of 16 channels; CLIP's and T5's tokens."""

    depth: int = 24
    heads: int = 24
    head_width: int = 64
    side: int = 64
    patch_values: int = 64
    text_tokens: int = 333
    text_width: int = 4096
    pooled_width: int = 2048
    steps: int = 28

    @property
    def width(self) -> int:
        return self.heads * self.head_width


TINY = Shape(depth=2, heads=2, head_width=8, side=4, text_tokens=5, text_width=16, pooled_width=16, steps=2)  # fmt: skip


class Stream(nn.Module):
    """What a block has for the pictures, and again for the text."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, self.heads = shape.width, shape.heads
        self.modulation = nn.Linear(width, 6 * width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width)
        )

    def before(self, x_Blw: Tensor, time_Bw: Tensor) -> tuple[list[Tensor], Tensor]:
        """Scales and shifts; queries, keys and values, (3, B, heads, l, w / heads)."""
        parts = list(self.modulation(F.silu(time_Bw))[:, None].chunk(6, dim=-1))
        qkv = self.qkv(_modulated(x_Blw, *parts[:2]))
        return parts, qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def after(self, x_Blw: Tensor, seen_Blw: Tensor, parts: list[Tensor]) -> Tensor:
        x_Blw = x_Blw + parts[2] * self.out(seen_Blw)
        return x_Blw + parts[5] * self.mlp(_modulated(x_Blw, *parts[3:5]))


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


class DiffusionTransformer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.patches = nn.Linear(shape.patch_values, width)
        self.text, self.time = nn.Linear(shape.text_width, width), nn.Linear(256, width)
        self.pooled = nn.Linear(shape.pooled_width, width)
        self.place = nn.Parameter(torch.zeros(shape.side**2, width))
        self.blocks = nn.ModuleList(
            nn.ModuleList((Stream(shape), Stream(shape))) for _ in range(shape.depth)
        )
        self.head = nn.Linear(width, shape.patch_values)

    def forward(self, x_Blc: Tensor, text_BTc: Tensor, pooled_Bc: Tensor, time_B: Tensor) -> Tensor:
        """Noisy patches -> the velocity of each."""
        frequencies = torch.exp(torch.arange(128, device=time_B.device) * -0.072)
        angles = time_B[:, None] * frequencies
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1).to(x_Blc.dtype)
        time_Bw = self.time(waves) + self.pooled(pooled_Bc)
        streams = [self.patches(x_Blc) + self.place, self.text(text_BTc)]
        lengths = [each.shape[1] for each in streams]
        for block in self.blocks:
            pairs = list(zip(block, streams, strict=True))
            read = [part.before(stream, time_Bw) for part, stream in pairs]
            q, k, v = torch.cat([qkv for _, qkv in read], dim=3)
            seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            parts = zip(pairs, seen.split(lengths, dim=1), read, strict=True)
            streams = [part.after(x, got, given) for (part, x), got, (given, _) in parts]
        return self.head(streams[0])


@torch.inference_mode()
def time_diffusion(machine: Machine) -> dict[str, float]:
    """Seconds of one picture of 1024x1024, guided, without its decoder and text encoders."""
    shape = TINY if machine.is_tiny else Shape()
    with torch.device(machine.device):
        model = DiffusionTransformer(shape).to(machine.dtype).eval()
        given = {"device": machine.device, "dtype": machine.dtype}
        text_BTc = torch.randn(2, shape.text_tokens, shape.text_width, **given)
        pooled_Bc = torch.randn(2, shape.pooled_width, **given)

    def draw() -> None:
        x_1lc = torch.randn(1, shape.side**2, shape.patch_values, **given)
        for step in range(shape.steps):
            time_B = torch.full((2,), 1000 * (1 - step / shape.steps), device=machine.device)
            one, other = model(x_1lc.expand(2, -1, -1), text_BTc, pooled_Bc, time_B)
            x_1lc = x_1lc - (other + 5 * (one - other)) / shape.steps
        assert x_1lc.isfinite().all()

    tflops = machine.matmul_tflops()
    draw()
    seconds = []
    for _ in range(machine.repeats):
        span = machine.clock()
        draw()
        seconds.append(span.end().seconds)
    parameters = sum(each.numel() for each in model.parameters())
    return {
        "matmul_tflops": round(tflops, 3),
        "parameters": parameters,
        "transformer_s": round(statistics.median(seconds), 4),
        **machine.memory(),
    }
