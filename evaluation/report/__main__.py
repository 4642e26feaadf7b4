"""Write the leaderboard, its charts and the training runs as one HTML page that needs no server and no network.

    python -m evaluation.report report.html
    python -m evaluation.report report.html --benchmark all --runs r16-20261123-011953 r32-20261123-012831
    python -m evaluation.report report.html --conversation 01KAQ6S8K3V2W5X1Y4Z7A9B0CD --title "Which one to ship"
    python -m evaluation.report report.html --push user/report

It shows the newest benchmark of this machine, or else of the one with most answers, and the newest training runs, as
many as a chart can bear. Nothing from the arena goes in unless asked for: --conversation adds one in full, --arena
counts its answers without their prompts.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evaluation.report import ReportError
from evaluation.report.contents import Sources, Wishes, choose
from evaluation.report.page import report_page
from evaluation.report.space import push
from evaluation.settings import Settings
from training.runlog import write_whole


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    wishes = Wishes(
        host=options.host,
        benchmark=options.benchmark,
        runs=None if options.runs is None else tuple(options.runs),
        conversations=tuple(options.conversation),
        arena=options.arena,
        title=options.title,
    )
    try:
        _refuse_place(options.out)
        folders = Settings.from_environment()
        chosen = choose(Sources(folders.results_dir, folders.published_dir), wishes)
        page = report_page(chosen)
        _write(options.out, page)
        print(f"{options.out} is written: {len(page.encode()) / 1e6:.1f} MB, to be opened in any browser.")
        if options.push:
            print(f"It is to be seen at {push(page, options.push, chosen.title, options.private)}")
    except ReportError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("out", type=Path, metavar="OUT.html", help="file to write; one that is there is replaced")
    add("--host", metavar="KEY", help="machine, by the key that the leaderboard's address has")
    add("--benchmark", metavar="ID", help="whose answers count, by its folder's name, or all")
    add("--runs", nargs="*", metavar="ID", help="training runs to show, by their folders' names; none without any")
    add("--conversation", action="append", default=[], metavar="ID", help="of the arena, as in its address; repeatable")
    add("--arena", action="store_true", help="count the answers of the arena, too; their prompts stay out")
    add("--title", help="heading of the page")
    add("--push", metavar="USER/NAME", help="put it on this static Space of the hub, too")
    add("--private", action="store_true", help="let only its owner see the Space")
    return parser


def _refuse_place(out: Path) -> None:
    if out.is_dir():
        raise ReportError(f"{out} is a folder: name the file to write, such as {out / 'report.html'}.")
    if not out.parent.is_dir():
        raise ReportError(f"There is no folder {out.parent} to write the report into: make it, or name another one.")


def _write(out: Path, page: str) -> None:
    try:
        write_whole(out, page.encode())
    except OSError as error:
        reason = error.strerror or error
        raise ReportError(f"The report cannot be written to {out} ({reason}): name another place.") from None


if __name__ == "__main__":
    sys.exit(main())
