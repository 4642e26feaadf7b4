"""Speed and memory on this machine, as ratios of things measured in the same run.

    python -m benchmarks                          # the embedded model, about 40 minutes on 2 cores
    python -m benchmarks --model 1b.gguf          # and a larger one, about an hour
    python -m benchmarks --only browser           # only the measurements with this in their name

Nothing else should run meanwhile: these figures are about what this program does to the machine.
"""

import argparse
from pathlib import Path

from benchmarks import browser, engine, fine_tunes, store, training, training_page, visitors
from benchmarks.report import measure_all
from benchmarks.rig import chat_models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a second GGUF, such as a 1B with random weights")
    parser.add_argument("--only", default="", help="measure only what has this in its name")
    args = parser.parse_args()
    parts = (engine, browser, training, training_page, fine_tunes, store, visitors)
    everything = [measure for part in parts for measure in part.MEASURES]
    measures = [each for each in everything if args.only in each.__name__]
    measure_all(measures, chat_models(args.model))


if __name__ == "__main__":
    main()
