"""How the page looks: a quiet theme on system fonts, so that no page load leaves the machine."""

from pathlib import Path

from gradio.themes import Base
from gradio.themes.utils import colors, sizes

_SANS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Helvetica Neue",
    "Arial",
    "sans-serif",
)
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def style_sheets() -> list[Path]:
    """Every style sheet of the page; what all tabs share comes first."""
    found = Path(__file__).parents[1].glob("*/*.css")
    return sorted(found, key=lambda path: (path.name != "page.css", path))


_BOTH = {
    "body_background_fill": ("*neutral_50", "*neutral_950"),
    "body_text_color": ("*neutral_900", "*neutral_100"),
    "body_text_color_subdued": ("*neutral_500", "*neutral_400"),
    "background_fill_primary": ("white", "*neutral_900"),
    "background_fill_secondary": ("*neutral_100", "*neutral_800"),
    "block_background_fill": ("white", "*neutral_900"),
    "block_border_color": ("*neutral_200", "*neutral_800"),
    "block_border_width": ("0px", "0px"),
    "block_shadow": ("none", "none"),
    "block_info_text_color": ("*neutral_500", "*neutral_400"),
    "block_title_text_color": ("*neutral_800", "*neutral_200"),
    "block_title_background_fill": ("transparent", "transparent"),
    "block_label_background_fill": ("transparent", "transparent"),
    "border_color_primary": ("*neutral_200", "*neutral_800"),
    "input_background_fill": ("white", "*neutral_950"),
    "input_border_color": ("*neutral_300", "*neutral_700"),
    "input_border_color_focus": ("*primary_500", "*primary_400"),
    "input_shadow_focus": (
        "0 0 0 3px color-mix(in srgb, var(--primary-500) 22%, transparent)",
        "0 0 0 3px color-mix(in srgb, var(--primary-400) 30%, transparent)",
    ),
    "button_primary_background_fill": ("*neutral_900", "*neutral_50"),
    "button_primary_background_fill_hover": ("*neutral_700", "*neutral_200"),
    "button_primary_text_color": ("white", "*neutral_950"),
    "button_secondary_background_fill": ("white", "*neutral_900"),
    "button_secondary_background_fill_hover": ("*neutral_100", "*neutral_800"),
    "button_secondary_border_color": ("*neutral_300", "*neutral_700"),
    "button_primary_border_color": ("*neutral_900", "*neutral_50"),
    "slider_color": ("*primary_600", "*primary_400"),
}
"""Colors and borders in light and in dark."""


def theme() -> Base:
    """Neutral surfaces, near-black (in the dark: near-white) actions, one accent for progress and focus."""
    light = {name: value for name, (value, _) in _BOTH.items()}
    dark = {f"{name}_dark": value for name, (_, value) in _BOTH.items()}
    return Base(
        primary_hue=colors.indigo,
        secondary_hue=colors.indigo,
        neutral_hue=colors.zinc,
        spacing_size=sizes.spacing_md,
        radius_size=sizes.radius_lg,
        text_size=sizes.text_md,
        font=_SANS,
        font_mono=_MONO,
    ).set(
        **light,
        **dark,
        block_info_text_size="*text_xs",
        block_title_text_size="*text_sm",
        block_title_text_weight="600",
        block_title_padding="0",
        input_border_width="1px",
        button_border_width="1px",
        button_large_text_weight="600",
    )
