"""An X/Y plot: one request drawn with every pair of values of two of its parameters."""
