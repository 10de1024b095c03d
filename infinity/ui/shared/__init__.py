"""What several tabs use."""
