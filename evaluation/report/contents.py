"""What goes into a report. Of visitors of the arena nothing does unless it is asked for by name.

Answers of benchmarks and of the published study count; those of the arena on demand, and then without their prompts;
conversations only by their ids.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from evaluation.benchmark.folder import Benchmark, benchmarks
from evaluation.host import host as this_host
from evaluation.leaderboard.answers import Answers, HostFacts, Selection
from evaluation.leaderboard.study import Finding, basis, findings
from evaluation.leaderboard.view import View, make_view, measure, models_of, only_disturbed
from evaluation.leaderboard.words import host_names, shortened
from evaluation.models.names import printable
from evaluation.records import Origin, Response
from evaluation.report import ReportError
from evaluation.report.texts import few
from evaluation.runs.listing import RunList, RunSummary
from evaluation.runs.logs import RunLogs
from evaluation.settings import PUBLISHED_DIR
from evaluation.store import ResponseStore
from training.public import public_run

ALL = "all"
"""Instead of the id of a benchmark."""
MOST_RUNS = 12
"""More lines in one chart tell nobody anything."""
OFFERED = 12
"""Ids of conversations that are named when one is not there."""


@dataclass(frozen=True)
class Wishes:
    """What is asked for; everything may be left open."""

    host: str | None = None
    """Key of the machine. Else this one if it has run a benchmark, else the one with most benchmark answers."""
    benchmark: str | None = None
    """Id, or ``all``. Else the newest of the machine."""
    runs: tuple[str, ...] | None = None
    """Ids of training runs, at most ``MOST_RUNS``. Else the newest that are not archived."""
    conversations: tuple[str, ...] = ()
    """Their ids."""
    arena: bool = False
    """Whether answers of the arena count; then all benchmarks do, too."""
    title: str | None = None


@dataclass(frozen=True)
class Contents:
    """What goes in."""

    title: str
    created_at: float
    """UTC s."""
    view: View | None
    """``None`` when no answer is stored. The address of an endpoint is not in it."""
    doubtful: bool
    """Whether disturbed answers count, as there are no others."""
    benchmarks: tuple[Benchmark, ...]
    """Whose answers count; those whose folders are gone are absent."""
    basis: str
    """What the findings rest on."""
    findings: tuple[Finding, ...]
    runs: tuple[RunSummary, ...]
    """Newest first."""
    runs_left_out: int
    logs: RunLogs
    conversations: tuple[tuple[str, tuple[Response, ...]], ...]
    """Id and responses of each."""


class Sources:
    """The records of an installation, and those that come along."""

    def __init__(self, results_dir: Path, published_dir: Path = PUBLISHED_DIR) -> None:
        self.answers = Answers(results_dir, published_dir)
        self.store = ResponseStore(results_dir / "responses", published_dir / "responses")
        self.logs = RunLogs()
        self.benchmarks = tuple(benchmarks(results_dir, published_dir)[0])
        parents = {folder.resolve(): folder for folder in (results_dir, results_dir / "published", published_dir)}
        self.runs = RunList(list(parents.values()), [published_dir], self.logs, public_run).refresh().runs


def choose(sources: Sources, wishes: Wishes) -> Contents:
    """What the wishes mean. Raises ``ReportError`` for what is not there, with what is."""
    if wishes.arena and wishes.benchmark not in (None, ALL):
        raise ReportError(
            "Answers of the arena belong to no benchmark: ask for them, or for a benchmark, not for both."
        )
    runs = _chosen_runs(sources.runs, wishes.runs)
    talks = tuple((id, _conversation(sources.store, id)) for id in dict.fromkeys(wishes.conversations))
    view = _view(sources, sources.answers.refresh(), wishes)
    return contents(view, sources.benchmarks, sources.runs, runs, sources.logs, talks, wishes.title)


def contents(
    view: View | None,
    known_benchmarks: Sequence[Benchmark],
    known_runs: Sequence[RunSummary],
    runs: Sequence[RunSummary],
    logs: RunLogs,
    conversations: Sequence[tuple[str, Sequence[Response]]],
    title: str | None = None,
) -> Contents:
    """A report of what was chosen; ``runs`` and ``conversations`` are those that go in. Where every answer that would
    count was disturbed, they count."""
    doubtful = view is not None and only_disturbed(view)
    if view and doubtful:
        view = again(view, replace(view.selection, disturbed=True))
    if view and view.host.cores is None:
        asked = models_of(view.answers, view.host.key).names.values()
        view = replace(view, host=replace(view.host, cpu=shortened(", ".join(asked))))
    counted = [each for each in known_benchmarks if view and each.plan.id in view.selection.benchmarks]
    rests_on, found = _study(view, known_runs) if view else ("", [])
    return Contents(
        title=printable(title or "") or printable(counted[0].plan.name if counted else "") or "Leaderboard",
        created_at=time.time(),
        view=view,
        doubtful=doubtful,
        benchmarks=tuple(counted),
        basis=rests_on,
        findings=tuple(found),
        runs=tuple(runs[:MOST_RUNS]),
        runs_left_out=len(runs[MOST_RUNS:]),
        logs=logs,
        conversations=tuple((id, tuple(responses)) for id, responses in conversations),
    )


def without_arena(selection: Selection) -> Selection:
    """The same, but for what visitors asked."""
    origins: tuple[Origin, ...] = selection.origins or get_args(Origin)
    kept = tuple(origin for origin in origins if origin != "arena")
    return replace(selection, origins=kept or ("benchmark",))


def again(view: View, selection: Selection) -> View:
    """The view of another selection on the same machine."""
    names = models_of(view.answers, view.host.key).names
    measured = measure(view.answers, selection, names)
    found = make_view(view.answers, view.version, view.host, selection, measured, names)
    return replace(found, colors={**found.colors, **view.colors})


def _view(sources: Sources, version: int, wishes: Wishes) -> View | None:
    hosts = sources.answers.hosts()
    if not hosts:
        if wishes.host:
            raise ReportError(f"No answer is stored, so none of the machine {wishes.host}: run a benchmark first.")
        return None
    host = _host(sources.answers, hosts, wishes.host)
    selection = Selection(host.key, benchmarks=_benchmark(sources.answers, host, wishes), common=not host.published)
    if not wishes.arena:
        selection = without_arena(selection)
    names = models_of(sources.answers, host.key).names
    measured = measure(sources.answers, selection, names)
    return make_view(sources.answers, version, host, selection, measured, names)


def _host(answers: Answers, hosts: Sequence[HostFacts], wanted: str | None) -> HostFacts:
    by_key = {each.key: each for each in hosts}
    if wanted is not None and wanted not in by_key:
        names = host_names(hosts, None)
        there = [f"{key} ({names[key]})" for key in by_key]
        raise ReportError(f"No answer of a machine {wanted} is stored. There are: {few(there)}.")
    here = this_host().key
    if wanted is None and here in by_key and answers.choices(here)["benchmark"].notna().any():
        return by_key[here]
    return by_key[wanted] if wanted else hosts[0]


def _benchmark(answers: Answers, host: HostFacts, wishes: Wishes) -> tuple[str, ...]:
    rows = answers.choices(host.key).dropna(subset="benchmark")
    newest = rows.groupby("benchmark")["newest"].max().sort_values(ascending=False)
    there = [str(each) for each in newest.index]
    if wishes.benchmark == ALL or wishes.arena or (wishes.benchmark is None and not there):
        return ()
    if wishes.benchmark is None:
        return (there[0],)
    if wishes.benchmark not in there:
        found = f"There are: {few(there)}." if there else "It has none."
        raise ReportError(f"The machine {host.key} has no answers of a benchmark {wishes.benchmark}. {found}")
    return (wishes.benchmark,)


def _chosen_runs(runs: Sequence[RunSummary], wanted: Sequence[str] | None) -> list[RunSummary]:
    if wanted is None:
        return [each for each in runs if not each.run.archived]
    by_id = {each.run.id: each for each in runs}
    unknown = [id for id in wanted if id not in by_id]
    if unknown:
        found = f"There are: {few(by_id)}." if by_id else "There is none yet."
        raise ReportError(f"No training run is called {', '.join(unknown)}. {found}")
    if len(set(wanted)) > MOST_RUNS:
        raise ReportError(f"More than {MOST_RUNS} training runs in one chart tell nobody anything: name fewer.")
    return [each for each in runs if each.run.id in wanted]


def _conversation(store: ResponseStore, id: str) -> tuple[Response, ...]:
    found = store.conversation(id)
    if not found:
        latest = [each.id for each in store.conversations(OFFERED)]
        there = f"The latest are: {few(latest)}." if latest else "None is stored."
        raise ReportError(f"No conversation {id} is stored here. {there}")
    return found


def _study(view: View, runs: Sequence[RunSummary]) -> tuple[str, list[Finding]]:
    """The study's questions, which rest on benchmarks; on all answers where there are none, if those may be told."""
    disturbed = view.selection.disturbed
    measured = Selection(view.host.key, origins=("benchmark",), common=False, disturbed=disturbed)
    may_tell_all = view.host.published or "arena" in (view.selection.origins or ("arena",))
    if view.answers.cells(measured).empty and not may_tell_all:
        return "", []
    found = findings(view.answers, view.host.key, [each.run for each in runs], disturbed)
    return basis(view.answers, view.host.key, disturbed), found
