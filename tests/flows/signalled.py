"""`python -m tests.flows.signalled SIGNAL ARGUMENTS`: the command, which gets that signal in the midst of training.

It comes where a third checkpoint would be written: two are complete, and what was learnt since the second is lost.
"""

import os
import sys
from itertools import count
from typing import Any
from unittest.mock import patch

from shared.training.checkpoint import Checkpoints

_SAVES_BEFORE = 2


def main() -> None:
    """Run the command; the signal goes to this process."""
    from apps.cli.main import main as command

    number, saves, save = int(sys.argv.pop(1)), count(), Checkpoints.save

    def signalled(self: Checkpoints, state: dict[str, Any]) -> None:
        if next(saves) == _SAVES_BEFORE:
            os.kill(os.getpid(), number)
        save(self, state)

    with patch.object(Checkpoints, "save", signalled):
        command()


if __name__ == "__main__":
    main()
