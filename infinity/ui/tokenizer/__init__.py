"""The Tokenizer tab: a picture to bits and back, scale by scale, beside JPEG and WebP of equal size."""
