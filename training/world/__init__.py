"""The small picture world: emoji art on procedural scenes, with exact captions."""
