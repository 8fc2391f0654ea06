"""The `keras-dl` command."""


def main() -> None:
    """Run the command line."""
