"""Training scripts and the procedural world the default model learns from."""
