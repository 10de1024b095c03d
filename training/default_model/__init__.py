"""The shipped default model: the settings of its parts, and the order in which they are made."""
