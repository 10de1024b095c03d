"""The commands ``generate | grid | reconstruct | replay | convert | models``."""
