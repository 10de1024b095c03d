"""Pictures that a model draws of itself: contact sheet, example prompts, figures and known words."""
