"""Looking inside a finished picture: maps of every scale, single bits flipped, words looked at."""
