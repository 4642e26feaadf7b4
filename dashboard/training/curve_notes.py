"""What is said below the loss chart: what its marks mean, and what it does not show."""

from collections.abc import Sequence

from dashboard.training.curve_controls import Choice
from dashboard.training.curve_data import Drawing
from dashboard.training.data import ShownRun
from evaluation.leaderboard.wording import counted, escaped, listed

STEERING = "Ctrl (or Cmd) + wheel, or a pinch, zooms; dragging moves; a double click resets."


def outside(found: Drawing) -> str:
    """What clipping leaves out, as a sentence; empty when that is nothing."""
    counts = ((found.outside, "point"), (found.held_out_outside, "evaluation"))
    some = [counted(count, what) for count, what in counts if count]
    verb = "lies" if found.outside + found.held_out_outside == 1 else "lie"
    return f"{listed(some)} {verb} outside." if some else ""


def nothing_yet(runs: Sequence[ShownRun]) -> str:
    """Instead of a chart, when no run has anything to draw."""
    if any(run.summary.run.status == "running" for run in runs):
        return "Waiting for the first step."
    return f"No step was logged, so there is nothing to draw: {_names(runs)}."


def notes(runs: Sequence[ShownRun], shown: Sequence[ShownRun], choice: Choice, found: Drawing) -> str:
    """Markdown. ``runs``: all that were chosen; ``shown``: those in the chart."""
    held_out = " Diamonds: loss on the held-out rows." if found.tables["held_out"].num_rows else ""
    legend = " A click on a run in the legend hides it." if len(shown) > 1 else ""
    said = [f"Points: logged steps. Line: smoothed.{held_out}{legend} {STEERING}"]
    if found.points < found.total - found.outside - found.not_positive:
        said.append(f"Drawn from {found.points:,} of {counted(found.total, 'point')}; peaks and troughs are kept.")
    if choice.clip:
        said.append(outside(found) or "Nothing lies outside.")
    if found.not_positive:
        said.append(f"{counted(found.not_positive, 'point')} at or below 0 cannot be shown on a log scale.")
    said += [_diverged(run) for run in shown if len(run.log.diverged_steps)]
    waiting = [run for run in runs if run not in shown and not len(run.log.train)]
    others = [run for run in runs if run not in shown and run not in waiting]
    if waiting:
        said.append(f"Without any step so far: {_names(waiting)}.")
    if others:
        said.append(f"Not shown, as {choice.axis.label.lower()} were not logged: {_names(others)}.")
    return " ".join(said)


def _diverged(run: ShownRun) -> str:
    steps = run.log.diverged_steps
    where = f"from step {steps[0]:,} on" if len(steps) > 1 else f"at step {steps[0]:,}"
    return (
        f"▼ at the top edge: the loss of {_names([run])} is NaN or infinite at {counted(len(steps), 'step')} "
        f"({where}); the line goes on over {'it' if len(steps) == 1 else 'them'}."
    )


def _names(runs: Sequence[ShownRun]) -> str:
    return listed([f"**{escaped(run.label)}**" for run in runs])
