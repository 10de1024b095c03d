"""The server around the page: its door, limits, files and health."""
