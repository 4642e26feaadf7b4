"""Which models are here, and more of them from the Hugging Face hub.

    python -m evaluation.models list
    python -m evaluation.models search smollm2 360m
    python -m evaluation.models add bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M
    python -m evaluation.models remove "Llama 3.2 1B Instruct"

A model of the hub is meant by owner/name, by the address of its page, or by owner/name:file, where a quantization will
do for the file. Ctrl-C keeps what was downloaded, and the same command goes on from there. One that is here is meant
by its name, its key, its file, or a part of its name that no other has; an unfinished download by owner/name:file.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from evaluation.hub import HubError
from evaluation.hub.downloads import BUSY, Download, Downloads
from evaluation.hub.repositories import search
from evaluation.models import Catalog, discover
from evaluation.models.adding import COMMAND, add
from evaluation.models.inventory import Item, disk, inventory, measured_here, remove
from evaluation.models.terminal import agreed, plain, table
from evaluation.settings import Settings
from evaluation.sizes import shown_size


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    settings = Settings.from_environment()
    try:
        match options.action:
            case "list":
                return _list(settings)
            case "search":
                return _search(" ".join(options.words))
            case "add":
                return add(options.model, _downloads(settings), options.yes, options.anyway)
            case _:
                return _remove(settings, options.name, options.yes)
    except HubError as error:
        print(plain(str(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|search|add|remove")
    actions.add_parser("list", help="what is here, and why something can't be used")
    searching = actions.add_parser("search", help="GGUF repositories of the hub")
    searching.add_argument("words", nargs="+", metavar="WORD")
    adding = actions.add_parser("add", help="download a model or a LoRA adapter")
    adding.add_argument("model", metavar="ID|URL|ID:FILE")
    adding.add_argument("--anyway", action="store_true", help="download also what can't run on this machine")
    removing = actions.add_parser("remove", help="delete a model's file, an endpoint's entry or an unfinished download")
    removing.add_argument("name", metavar="NAME")
    for each in (adding, removing):
        each.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _list(settings: Settings) -> int:
    items = inventory(
        _catalog(settings), settings.models_dir, measured_here(settings.results_dir, settings.published_dir)
    )
    usable = [item for item in items if item.kind != "unusable"]
    rows = [
        (
            item.name,
            item.quantization,
            None if item.size_bytes is None else shown_size(item.size_bytes),
            _speed(item),
            _memory(item),
            item.license,
            item.source,
        )
        for item in usable
    ]
    head = ("MODEL", "QUANTIZATION", "SIZE", "SPEED", "MEMORY", "LICENSE", "SOURCE")
    print(table(head, rows, numbers=(2, 3, 4)))
    for title, lines in (
        ("Can't be used", [f"{item.path}: {item.reason}" for item in items if item.kind == "unusable"]),
        ("Downloads", list(map(_told, _downloads(settings).list()))),
    ):
        if lines:
            print(f"\n{title}")
            for line in lines:
                print(f"  {plain(line)}")
    taken = disk(settings.models_dir)
    print(f"\n{settings.models_dir} takes {shown_size(taken.used_bytes)}; {shown_size(taken.free_bytes)} are free.")
    return 0


def _search(words: str) -> int:
    found = search(words)
    if not found:
        print(f"No GGUF repository is found for {plain(words)!r}: try fewer or other words.")
        return 1
    rows = [
        (
            each.repo_id,
            None if each.downloads is None else f"{each.downloads:,}",
            None if each.likes is None else f"{each.likes:,}",
            each.license,
            "gated" if each.gated else "open",
        )
        for each in found
    ]
    print(table(("REPOSITORY", "DOWNLOADS", "LIKES", "LICENSE", "ACCESS"), rows, numbers=(1, 2)))
    print(f"\nTo see the files of one: {COMMAND} add OWNER/NAME")
    return 0


def _remove(settings: Settings, name: str, yes: bool) -> int:
    downloads = _downloads(settings)
    for download in downloads.list():
        if name.casefold() == f"{download.repo_id}:{download.file}".casefold():
            return _when_agreed([_told(download)], yes, partial(downloads.forget, download.id))
    item = _meant(name, inventory(_catalog(settings), settings.models_dir, {}))
    if item.why_kept:
        raise HubError(f"{item.name} can't be removed here. {item.why_kept}")
    lines = [f"{item.name}: {item.path or item.source}", *([item.loss] if item.loss else ())]
    return _when_agreed(lines, yes, partial(remove, item, settings.models_dir))


def _when_agreed(lines: Sequence[str], yes: bool, act: Callable[[], None]) -> int:
    for line in lines:
        print(plain(line))
    if not yes and not agreed("Remove it?"):
        print("Nothing was removed. With --yes it is not asked.")
        return 2
    act()
    print("Removed.")
    return 0


def _meant(name: str, items: Sequence[Item]) -> Item:
    """By the best kind of match that there is. Raises ``HubError`` when that is none or several."""
    wanted = name.casefold()
    whole = [each for each in items if wanted in (each.name.casefold(), each.key, str(each.path).casefold())]
    by_file = [each for each in items if each.path and each.path.name.casefold() == wanted]
    part = [each for each in items if wanted and wanted in each.name.casefold()]
    found = whole or by_file or part
    if not found:
        raise HubError(f"Nothing here is called {name!r}: {COMMAND} list shows what there is.")
    if len({each.path or each.key for each in found}) > 1:  # an adapter on several bases is one file
        names = ", ".join(str(each.path) if each.kind == "unusable" else each.name for each in found)
        raise HubError(f"{name!r} may mean any of several: name one of {names}.")
    return found[0]


def _catalog(settings: Settings) -> Catalog:
    return discover(settings.models_dir, settings.results_dir, settings.cache_dir, settings.published_dir)


def _downloads(settings: Settings) -> Downloads:
    return Downloads(settings.models_dir, settings.cache_dir)


def _told(download: Download) -> str:
    share = f"{shown_size(download.done_bytes)} of {shown_size(download.size_bytes)}"
    state = "running" if download.state in BUSY else download.state
    return f"{download.repo_id}:{download.file}, {share}, {state}. {download.error or ''}"


def _speed(item: Item) -> str | None:
    speed = item.measured.decode_tok_s if item.measured else None
    return None if speed is None else f"{speed:.1f} tok/s"


def _memory(item: Item) -> str | None:
    memory = item.measured.peak_memory_bytes if item.measured else None
    return None if memory is None else shown_size(memory)


if __name__ == "__main__":
    sys.exit(main())
