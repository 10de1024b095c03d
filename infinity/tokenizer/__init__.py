"""Picture <-> bits: autoencoder, binary spherical quantizer and the residual canvas."""
