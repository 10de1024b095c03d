"""Logits to bits, scale by scale: sampling, guidance and the generation loop."""
