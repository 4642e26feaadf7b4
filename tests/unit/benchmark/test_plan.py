"""What is asked, in which order, and how long it will take."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.benchmark.estimate import TimeLeft, estimate_from_records, seconds_per_answer
from evaluation.benchmark.plan import Plan, blocks, from_json, new_plan, to_json
from evaluation.prompt_sets import Prompt, PromptSet
from evaluation.records import Cell, Message, ModelRef, Response, Sampling
from evaluation.store import ResponseStore
from tests.responses import HOST, MODEL, PLAIN


def plan(models: int = 4, repeats: int = 4, sizes: Sequence[int | None] = (), max_tokens: int = 512) -> Plan:
    refs = [replace(MODEL, key=f"m{number}", name=f"Model {number}") for number in range(models)]
    refs = [replace(ref, size_bytes=size) for ref, size in zip(refs, sizes or [None] * models, strict=True)]
    prompts = (Prompt("a", (Message("user", "half of \ud800 a pair"),), "odd", "A reference."), Prompt("b", ()))
    sets = [PromptSet("one", prompts, "0" * 64), PromptSet("two", prompts[:1], "1" * 64)]
    made = new_plan(refs, sets, repeats, Sampling(seed=7, max_tokens=max_tokens, stop=("\n",)))
    return replace(made, host=HOST)


def test_each_repeat_visits_every_model_and_drift_meets_them_all_alike() -> None:
    """Over as many repeats as models (twice as many if odd) each model has each place equally often, so whatever
    changes steadily while the benchmark runs adds the same to all of them."""
    for models, repeats in ((4, 4), (3, 6), (2, 2), (1, 3)):
        order = [(block.repeat, block.model.key) for block in blocks(plan(models, repeats))]
        rows = [[key for repeat, key in order if repeat == number] for number in range(repeats)]
        assert all(sorted(row) == [f"m{number}" for number in range(models)] for row in rows)
        places = Counter((key, place) for row in rows for place, key in enumerate(row))
        assert set(places.values()) == {repeats // models}


def test_a_plan_survives_being_stored() -> None:
    """All of it comes back (half a surrogate pair, which UTF-8 can't hold, as U+FFFD); newer forms are refused by name
    and what is none is told."""
    made = plan()
    back = from_json(to_json(made))
    assert back.cells == made.cells == 4 * 3 * 4
    assert [name for name, _ in back.references] == ["one", "two"]
    assert replace(back, prompt_sets=()) == replace(made, prompt_sets=())
    assert back.prompts[0][1].messages[0].content == "half of � a pair"
    with pytest.raises(ValueError, match="newer version of this program \\(format 2, this version reads up to 1\\)"):
        from_json(to_json(replace(made, format=2)))
    with pytest.raises(ValueError, match="not the plan of a benchmark \\(repeats: "):
        from_json(to_json(made).replace(b'"repeats": 4', b'"repeats": "four"'))


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    """Saves warm answers of 100 tokens in 0.5 + 10 s by a model of 1 GB, changed as told; the folder."""
    store = ResponseStore(tmp_path / "responses")
    answer = replace(
        PLAIN,
        model=replace(MODEL, key="m0", size_bytes=10**9),
        prompt_busy_s=0.5,
        decode_busy_s=10.0,
        completion_tokens=100,
    )

    def save(count: int = 1, **changes: object) -> Path:
        for number in range(count):
            response: Response = replace(answer, **changes)  # type: ignore[arg-type]
            store.append(replace(response, id=f"{response.id[:-2]}{number:02}"))
        return store.folder

    return save


def test_an_estimate_from_answers_of_the_model_itself(stored: Callable[..., Path]) -> None:
    """Its warm answers on this host count; cold ones, other hosts' and failures don't. Shorter answers
    than it usually gives are quicker, longer ones are not expected."""
    stored(3)
    stored(9, load_s=60.0, decode_busy_s=99.0)
    stored(9, host=replace(HOST, key="other"), decode_busy_s=99.0)
    stored(9, finish_reason="error", decode_busy_s=99.0)
    folder = stored(9, decode_busy_s=99.0, cell=Cell("b", "warm-up", "warm-up", 0, warm_up=True))
    seconds, basis = seconds_per_answer(plan(1, max_tokens=512), [folder])
    assert seconds == {"m0": pytest.approx(10.5)} and basis == "From earlier answers of these models on this machine."
    assert seconds_per_answer(plan(1, max_tokens=50), [folder])[0] == {"m0": pytest.approx(5.5)}
    whole = estimate_from_records(plan(1, repeats=4), [folder]).seconds
    answers, losses = 4 * 3 * 10.5, 2 * 10.5 / 2
    assert answers + losses < whole < answers + losses + 5 * 3, "loads and warm-ups take a few seconds each"


def test_an_estimate_from_answers_of_many_lengths(stored: Callable[..., Path]) -> None:
    """Their mean, because a sum is estimated, and a few long ones take most of the time. Where all were cut they might
    have become longer: as long as is assumed without any, or as the longest."""
    stored(2)
    stored(1, prompt_busy_s=2.0, completion_tokens=400, decode_busy_s=40.0)
    stored(3, model=replace(MODEL, key="m1"), finish_reason="length")
    folder = stored(1, model=replace(MODEL, key="m2"), finish_reason="length", completion_tokens=300, decode_busy_s=30)
    seconds, _ = seconds_per_answer(plan(3), [folder])
    assert seconds == pytest.approx({"m0": 1.0 + 20.0, "m1": 0.5 + 20.0, "m2": 0.5 + 30.0})
    seconds, _ = seconds_per_answer(plan(3, max_tokens=50), [folder])
    assert seconds == pytest.approx({"m0": 1.0 + 5.0, "m1": 0.5 + 5.0, "m2": 0.5 + 5.0})


def test_an_estimate_does_without_a_file_that_goes_meanwhile(stored: Callable[..., Path]) -> None:
    """As when another process turns it into a Parquet file."""
    folder = stored()
    (folder / "listed-but-gone.jsonl").symlink_to("nowhere")
    assert seconds_per_answer(plan(1), [folder])[0] == {"m0": pytest.approx(10.5)}


def test_an_estimate_for_a_model_that_never_answered(stored: Callable[..., Path]) -> None:
    """Others on this machine count in proportion to their files; on a new machine the size and stated assumptions."""
    seconds, basis = seconds_per_answer(plan(2, sizes=(10**9, 2 * 10**9)), [stored()])
    assert seconds == {"m0": pytest.approx(10.5), "m1": pytest.approx(21.0)}
    assert "of Model 1 there are none" in basis
    seconds, basis = seconds_per_answer(plan(2, sizes=(10**9, 2 * 10**9)), [Path("nowhere")])
    assert seconds["m1"] == pytest.approx(2 * seconds["m0"]) and "8 GB/s" in basis and "200 tokens" in basis


def test_the_time_left_follows_what_answers_really_take() -> None:
    """A model's own mean counts; one that has not answered is expected to be as far off as the others were."""
    left = TimeLeft(plan(2), {"m0": 1.0, "m1": 5.0})
    assert left.seconds({"m0": 2, "m1": 2}, {}, {}) == pytest.approx(12.0)
    left.took("m0", 2.0)
    left.took("m0", 4.0)
    assert left.seconds({"m0": 2}, {}, {}) == pytest.approx(6.0)
    assert left.seconds({"m1": 2}, {}, {}) == pytest.approx(30.0)


def test_model_refs_are_whole(tiny: dict[str, object]) -> None:
    """Sizes by which estimates scale are in the records of real models."""
    assert all(isinstance(model.ref, ModelRef) and model.ref.size_bytes for model in tiny.values())  # type: ignore[attr-defined]
