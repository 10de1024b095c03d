"""The exam: prompts with known answers, a judge that reads pixels only, and the marks."""
