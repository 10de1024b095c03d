"""The server around the page: options, limits, files, health."""
