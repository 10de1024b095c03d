"""Runs a folder of reference cases through the public modules."""
