"""What a page opens with: its address, a link, a dropped file, the settings it had before a reload."""
