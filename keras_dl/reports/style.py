"""The colors and the style of the axes of all figures."""

from __future__ import annotations

from matplotlib.axes import Axes

INK, FAINT = "#1f2937", "#9ca3af"
BLUE, ORANGE, GREEN, VIOLET = "#2563eb", "#ea580c", "#059669", "#7c3aed"
COLORS = (BLUE, ORANGE, GREEN, VIOLET, "#dc2626", "#0891b2")


def style(axes: Axes, *, xlabel: str = "", ylabel: str = "", title: str = "", grid: bool = True) -> Axes:
    """Apply the common style to axes, and return them."""
    axes.set_xlabel(xlabel, fontsize=9, color=INK)
    axes.set_ylabel(ylabel, fontsize=9, color=INK)
    axes.set_title(title, fontsize=10, color=INK)
    axes.tick_params(labelsize=8, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(FAINT)
    if grid:
        axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
    return axes
