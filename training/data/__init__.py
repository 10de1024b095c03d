"""Pictures and captions of any kind of source, as batches that depend on the step alone."""
