"""The shipped exam: GenEval's six categories, style and scene, in this world's things.

The wordings are not those of the training captions; half of the pairs and colors were never shown in
training. docs/default-model.md says how the file was written.
"""

from pathlib import Path

EXAM = Path(__file__).parent.parent / "prompts" / "exam.jsonl"
