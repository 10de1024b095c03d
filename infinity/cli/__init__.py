"""The commands of ``python -m infinity``: drawing in ``commands``, going on from a picture in ``editing``."""
