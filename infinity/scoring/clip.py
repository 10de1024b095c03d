"""CLIP-like models as scorers: how near a picture lies to its prompt (Radford et al., 2021)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from infinity.errors import ResourceError, quoted
from infinity.hub import check_hub, is_here
from infinity.scoring.scorer import Scorer, Scores


def clip_scorer(name: str) -> Scorer:
    """The cosine between picture and prompt, of any model of transformers that has features of both (CLIP,
    SigLIP, ...), on the CPU. Nothing that a repository brings is run.

    Args:
        name: on the hub, or a folder.

    Raises:
        ResourceError: it cannot be had, or has no such features.
    """
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    try:
        if not is_here(name):
            check_hub(name)
        model: Any = AutoModel.from_pretrained(name, trust_remote_code=False, use_safetensors=True)
        tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        pictures: Any = AutoImageProcessor.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # whatever is wrong with somebody's folder
        raise ResourceError(
            f"The scorer {quoted(name)} cannot be loaded; name a CLIP-like model such as "
            "openai/clip-vit-base-patch32, and check the network and the free disk."
        ) from error
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise ResourceError(
            f"{quoted(name)} is no CLIP-like model: it has no features of pictures and texts; name one "
            "that has, such as openai/clip-vit-base-patch32."
        )
    model.eval().requires_grad_(False)
    longest = model.config.text_config.max_position_embeddings

    def scorer(prompt: str) -> Scores:
        text = tokenizer(
            [prompt], padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
        )
        with torch.inference_mode():
            text_1F = _unit(model.get_text_features(**text))

        def scores(images: Sequence[Image.Image]) -> list[float]:
            with torch.inference_mode():
                pixels = pictures([image.convert("RGB") for image in images], return_tensors="pt")
                pictures_BF = _unit(model.get_image_features(**pixels))
            return (pictures_BF @ text_1F.T)[:, 0].tolist()

        return scores

    return scorer


def _unit(features: Any) -> Tensor:
    """(B, F) of length 1, from features or from an output that holds them."""
    tensor = features if isinstance(features, Tensor) else features.pooler_output
    return F.normalize(tensor.float(), dim=-1)
