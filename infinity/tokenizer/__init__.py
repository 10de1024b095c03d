"""Picture <-> bits: autoencoder, binary spherical quantiser and the residual canvas."""
