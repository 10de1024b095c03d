"""The endpoint of prompt help."""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
from collections.abc import Callable

import gradio as gr

from infinity.hosting import Allowance
from infinity.ui.api.common import plain_errors
from infinity.ui.generate.prompt_help import suggestion_of
from infinity.ui.shared.runs import visitor_of


def make_rewrite(allowance: Allowance) -> Callable[..., str]:
    """The function behind ``/rewrite``; it asks only the helper that the host has set up."""

    def rewrite(request: gr.Request, prompt: str) -> str:
        """Make a short prompt longer and more detailed, keeping its meaning.

        Draws nothing: read the answer, change it as you like, and pass it to generate.

        Args:
            prompt: a few words, such as "a lighthouse".

        Returns:
            One description of the picture, in one to three sentences.
        """
        with plain_errors():
            allowance.check_prompt(prompt)
            allowance.admit(visitor_of(request))
            return suggestion_of(prompt, allowance.hosting.rewriter, "")

    return rewrite
