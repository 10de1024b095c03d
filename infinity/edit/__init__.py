"""Going on from a picture: its bits, regions of it, and what of it a change of words touches."""
