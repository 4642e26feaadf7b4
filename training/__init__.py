"""What is learned: recipes, data, fine-tuning, the log of a run, exports. A library and a command line.

Imports neither ``evaluation`` nor ``dashboard``; both read what it leaves through ``training.runlog``.
"""

import os


def quiet_waiting() -> None:
    """Let torch's threads sleep soon while they wait for each other; call it before torch is imported.

    By default they spin, and then a busy neighbour slows training on two cores many times over. The user's own setting
    is kept.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = "3000"
