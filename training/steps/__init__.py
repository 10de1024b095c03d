"""What one training step computes: the losses of the transformer and of the tokenizer."""
