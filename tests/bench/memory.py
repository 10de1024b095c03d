"""What every memory mode takes by the estimate, as a table: ``python -m tests.bench.memory``. Nothing is loaded.

The largest pictures of each model (1024 px), bfloat16, on a card; GB are 10^9 bytes.
"""

import sys

import torch

from infinity.estimate import chosen_memory_mode, memory_need
from infinity.memory_modes import BUDGETS, MEMORY_MODES
from infinity.registry import TEXT_ENCODER_PARAMETERS, TEXT_ENCODER_REPOSITORY, get_spec

CARD, DTYPE = torch.device("cuda"), torch.bfloat16
TERMS = ("transformer", "tokenizer", "text_encoder", "cache", "working", "graphs", "device", "host")


def main() -> None:
    rows = [("model", "mode", "parts", *TERMS)]
    text = TEXT_ENCODER_PARAMETERS[TEXT_ENCODER_REPOSITORY]
    for model in ("infinity-2b", "infinity-8b"):
        spec = get_spec(model)
        for name in (*MEMORY_MODES, *BUDGETS):
            mode = chosen_memory_mode(name, spec, CARD, DTYPE, text)
            need = memory_need(spec, mode, CARD, DTYPE, text)
            parts = str(mode).replace("bfloat16,", "").replace(",", ", ") or "-"
            sizes = (f"{getattr(need, term) / 1e9:.2f}" for term in TERMS)
            rows.append((model, name, parts, *sizes))
    rows.insert(1, ("---",) * len(rows[0]))
    for row in rows:
        sys.stdout.write(f"| {' | '.join(row)} |\n")


if __name__ == "__main__":
    main()
