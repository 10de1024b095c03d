"""The page: the only importers of gradio."""
