"""Text and the bits so far -> logits of the next scale's bits."""
