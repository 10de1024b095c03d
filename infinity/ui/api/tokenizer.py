"""Endpoints of the tokenizer: a picture to bits and back, and its bits as a file."""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
from dataclasses import dataclass
from typing import Any

import gradio as gr

from infinity.edit.sources import bits_of, rebuild, source_of
from infinity.errors import StoppedError
from infinity.metadata import save_png
from infinity.ui.api.edit import opened, run_of
from infinity.ui.shared.context import Context
from infinity.ui.shared.files import BITS_FILE, file_data, new_folder


@dataclass(frozen=True)
class TokenizerEndpoints:
    """The functions behind ``/reconstruct`` and ``/bits``."""

    context: Context

    def reconstruct(
        self, request: gr.Request, picture: gr.FileData, aspect_ratio: str = "", model: str = ""
    ) -> dict[str, Any]:
        """Turn a picture into bits and back, scale by scale, beside JPEG and WebP of equal size.

        Args:
            picture: any picture, or a file of bits.
            aspect_ratio: width:height, one of the model's own; empty: the nearest.
            model: whose tokenizer, one of the names that the models tool lists; empty: the first.

        Returns:
            The size, bits a token and the vocabulary, 2 to their power; "original", what was encoded, as a
            file; and one entry a scale: its size in tokens; bits and bytes so far; PSNR in decibels (null:
            equal) and SSIM against the original; "picture", a PNG; and under "jpeg" and "webp" the quality,
            bytes, PSNR, SSIM and file of the best one of at most as many bytes, or null.
        """
        image, folder = opened(picture), new_folder()
        run = run_of(self.context, request, model, {})
        with self.context.turn(request, run) as pipeline:
            rebuilt = rebuild(pipeline, image, aspect_ratio or None)
            scales = []
            for number, scale in enumerate(pipeline.measure(rebuilt), 1):
                if run.cancel.is_set():
                    raise StoppedError
                files = scale.save(folder, number)
                self.context.keep(*files.values())
                told: dict[str, Any] = {
                    **scale.to_dict(),
                    "picture": file_data(files.pop("png")),
                }
                for format, path in files.items():
                    told[format]["picture"] = file_data(path)
                scales.append(told)
        original = save_png(rebuilt.original, folder / "original.png")
        self.context.keep(original)
        about = {"model": run.model, **rebuilt.to_dict(), "original": file_data(original)}
        return {**about, "scales": scales}

    def bits(
        self, request: gr.Request, picture: gr.FileData, aspect_ratio: str = "", model: str = ""
    ) -> gr.FileData:
        """Save a picture's bits as one small file, which stands for the picture wherever one is asked for.

        Args:
            picture: of one that was drawn here, the bits are those it was drawn with.
            aspect_ratio: width:height, one of the model's own; empty: the nearest.
            model: one of the names that the models tool lists; empty: the first.

        Returns:
            A numpy .npz file: "scale_1_bits", ... of (tokens, bits a token), and "about" as JSON.
        """
        image, path = opened(picture), new_folder() / BITS_FILE
        run = run_of(self.context, request, model, {})
        with self.context.turn(request, run) as pipeline:
            source = source_of(pipeline, image, aspect_ratio or None, run.cancel)
            bits_of(pipeline, source).save(path)
        self.context.keep(path)
        return file_data(path)
