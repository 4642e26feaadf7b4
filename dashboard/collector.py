"""Python's search for garbage, kept away from what stays."""

import atexit
import gc
from functools import cache


@cache
def spare() -> None:
    """Leave out what is there by now, for the most part the code of modules. Once per process, from a page that is
    drawn often: Streamlit searches all objects after every drawing, which took a tenth of a second of a core."""
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # or some libraries complain at the end that their objects were left over
