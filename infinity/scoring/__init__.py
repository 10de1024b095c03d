"""Who chooses among candidates: scorers of pictures by their prompt, by name."""
