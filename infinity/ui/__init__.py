"""The page: the only part that imports gradio.

``app`` lays out the tabs, ``serve`` starts the server. A tab is a folder: ``tab`` has its components,
``events`` its handlers, ``view`` what they show, beside its script and style sheet. ``controls`` are the
settings of a request; ``opening`` is what a page opens with (its address, a link, a dropped file, what it
had before a reload); ``shared`` is for several tabs; ``server`` stands around them all.
"""
