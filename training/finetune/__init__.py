"""Adapters: training less than all of a model."""
