"""The default model's own small text encoder: a tokenizer and a T5 encoder, from scratch.

Both are written in the format ``transformers`` loads, so the engine treats them like flan-t5-xl.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from infinity.text import PIECES, TextTokenizer

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"


def train_tokenizer(
    captions: Iterable[str], vocabulary: int, max_length: int
) -> PreTrainedTokenizerFast:
    """A tokenizer of at most ``vocabulary`` pieces that appends the end token.

    Byte-pair encoding: in a small vocabulary every frequent word is one piece, and rare or misspelt
    ones are several; the same captions always give the same pieces. Accents and case are passed
    over, and so is every sign that no caption has: it would be an unknown piece, which no encoder
    learns to read.
    """
    texts = list(captions)
    tokenizer = Tokenizer(BPE(unk_token=UNKNOWN))
    plain: list[Any] = [
        normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(),
        normalizers.Replace("\u2019", "'"),
    ]  # fmt: skip
    one_form = normalizers.Sequence(plain)
    signs = sorted({sign for text in texts for sign in one_form.normalize_str(text)} | {" "})
    codes = "".join(f"\\x{{{ord(sign):x}}}" for sign in signs)
    tokenizer.normalizer = normalizers.Sequence(  # type: ignore[assignment]
        [
            *plain,
            normalizers.Replace(Regex(f"[^{codes}]+"), " "),
            normalizers.Replace(Regex(" +"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [pre_tokenizers.Punctuation(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()  # type: ignore[assignment]
    trainer = BpeTrainer(
        vocab_size=vocabulary, special_tokens=[PAD, END, UNKNOWN], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=max_length,
    )


def read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The text tokenizer in a folder, by its tokenizer.json alone: nothing in the folder is run.

    Raises:
        CheckpointError: missing, damaged, or of pieces that T5 does not read.
    """
    TextTokenizer(folder)
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / PIECES), pad_token=PAD, eos_token=END, unk_token=UNKNOWN
    )


def build_encoder(vocabulary: int, width: int, layers: int, heads: int) -> T5EncoderModel:
    """A randomly initialised T5 encoder (gated GELU, no dropout)."""
    return T5EncoderModel(
        T5Config(
            vocab_size=vocabulary,
            d_model=width,
            d_kv=width // heads,
            d_ff=2 * width,
            num_layers=layers,
            num_heads=heads,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
        )
    )
