"""Pictures that a model draws of itself, for this project's pages: ``python -m training.pages PAGE``.

``contact-sheet`` draws fixed prompts into one picture; ``examples`` the page's example prompts
(assets/examples); ``seeds`` sixteen seeds of short prompts, and how far apart they are; ``figures`` those of docs/how-it-works.md; ``known-words`` docs/world.md and the thumbnails in assets/world. Prompt number n is
drawn with seed n, known words with seed 0; nothing is picked by hand.
"""

import argparse
import logging
from pathlib import Path

import torch

from infinity.console import expand_home, home_path, log_to_terminal
from infinity.errors import InfinityError
from infinity.pipeline import InfinityPipeline
from training.drawing import read_prompts
from training.pages.examples import PROMPTS, contact_sheet, write_examples
from training.pages.figures import write_figures
from training.pages.known_words import write_known_words
from training.pages.seeds import write_seeds

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = {
    "contact-sheet": Path("contact_sheet.png"),
    "examples": ROOT / "assets" / "examples",
    "figures": ROOT / "docs" / "images",
    "known-words": ROOT,
    "seeds": ROOT / "docs" / "images" / "seeds.webp",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.pages", description=__doc__)
    parser.add_argument("page", choices=list(OUTPUTS))
    parser.add_argument("--model", type=expand_home, default="default", help="name or folder")
    parser.add_argument("--adapter", type=expand_home, help="folder or file of a LoRA adapter")
    parser.add_argument("--prompts", type=home_path, help="one prompt a line")
    parser.add_argument("--output", type=home_path, help="file of the sheet, folder of the others")
    arguments = parser.parse_args()
    log_to_terminal()
    torch.set_flush_denormal(True)
    page = arguments.page
    output = arguments.output or OUTPUTS[page]
    try:
        pipeline = InfinityPipeline.from_pretrained(arguments.model, adapter=arguments.adapter)
        if page == "figures":
            write_figures(pipeline, output)
        elif page == "known-words":
            write_known_words(pipeline, output / "docs", output / "assets" / "world")
        elif page == "seeds":
            write_seeds(pipeline, output)
        else:
            prompts = read_prompts(arguments.prompts or PROMPTS[page])
            write = contact_sheet if page == "contact-sheet" else write_examples
            write(pipeline, prompts, output)
    except (InfinityError, OSError) as error:
        parser.exit(1, f"{error}\n")
    logging.info("wrote %s", output)


if __name__ == "__main__":
    main()
