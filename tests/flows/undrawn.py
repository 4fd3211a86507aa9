"""`python -m tests.flows.undrawn ARGUMENTS`: the command, which leaves its figures empty."""

from tests.drawing import empty_figures


def main() -> None:
    """Run the command."""
    from apps.cli.main import main as command

    with empty_figures():
        command()


if __name__ == "__main__":
    main()
