"""Reading, converting, saving and fetching weights."""
