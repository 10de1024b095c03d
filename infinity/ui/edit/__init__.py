"""The Edit tab: going on from a picture's bits, with every picture on the way in a tree."""
