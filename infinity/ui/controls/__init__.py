"""What the request controls offer, mean, and bring about, as pure functions; no components."""
