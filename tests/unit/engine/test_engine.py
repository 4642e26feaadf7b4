"""The engine through its public door, with the real model in real worker processes."""

import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from evaluation.engine import Engine, Generation
from evaluation.engine.turns import ACTIVE
from evaluation.models import Adapter, ChatModel
from evaluation.records import Response
from evaluation.text_figures import text_figures
from tests.gguf_files import write_lora_adapter
from tests.unit.engine.conftest import Arena

LONG = "Write a very long story about a lighthouse keeper, with many chapters."


def another(model: ChatModel) -> ChatModel:
    """A second model as far as the engine can tell: the same file under another content hash."""
    return replace(model, key="another", base=replace(model.base, sha256="2" * 64, name="Another"))


def until(generation: Generation, state: str, seconds: float = 30) -> None:
    """Wait until the generation has reached a state."""
    end = time.monotonic() + seconds
    while generation.snapshot().state != state:
        assert generation.snapshot().state != "done", generation.snapshot().response
        assert time.monotonic() < end, f"still {generation.snapshot().state}"
        time.sleep(0.005)


def test_an_answer_with_figures_that_add_up(arena: Arena) -> None:
    """Counts and times are consistent with each other, and the response was recorded."""
    response = arena.answer("Why is the sky blue?", max_tokens=20)
    assert response in arena.recorded
    assert len(response.text) > 40
    assert response.finish_reason == "length"
    assert response.completion_tokens == 20
    assert response.cached_tokens == 0
    assert response.prompt_tokens and response.prompt_tokens > 10
    assert response.started_at and response.first_token_at
    assert response.submitted_at <= response.started_at < response.first_token_at < response.ended_at
    assert response.latency_s and response.latency_s <= response.ended_at - response.started_at
    assert response.decode_tok_s == pytest.approx(19 / response.decode_busy_s)  # type: ignore[operator]
    assert response.peak_memory_bytes and response.peak_memory_bytes > arena.model.base.size_bytes
    assert response.template_date == "2026-11-01"
    assert response.text_figures == text_figures(response.text)
    assert response.model.size_bytes == arena.model.base.size_bytes


def test_an_answer_that_is_not_to_be_kept(arena: Arena) -> None:
    """It is returned like any other, but not recorded."""
    kept = arena.answer("Hi", max_tokens=2)
    generation = arena.engine.submit(replace(arena.ask("Hi", max_tokens=2).request, keep=False))
    assert generation.wait(60).text == kept.text and generation.wait().id not in {r.id for r in arena.recorded}


def test_only_the_first_answer_is_cold(embedded: ChatModel) -> None:
    """And the first one after idle models were let go, which leaves a model at work alone."""
    engine = Engine()
    arena = Arena(engine, embedded)
    try:
        assert not engine.busy
        first = arena.ask("Hi", max_tokens=2)
        assert engine.busy
        engine.release_idle()
        first_answer = first.wait(60)
        second_answer = arena.answer("Hi", max_tokens=2)
        assert not engine.busy and engine.worker_pids()
        engine.release_idle()
        assert not engine.worker_pids()
        third_answer = arena.answer("Hi", max_tokens=2)
    finally:
        engine.close()
    assert first_answer.cold and first_answer.load_s and first_answer.load_s > 0
    assert not second_answer.cold
    assert third_answer.cold


def test_the_same_seed_gives_the_same_text(arena: Arena) -> None:
    """Asked again in its own conversation (with a warm cache) and in a new one; another seed gives another text."""
    first = arena.answer("Tell me a story.", conversation="seeds", temperature=1.0, seed=7)
    again = arena.answer("Tell me a story.", conversation="seeds", temperature=1.0, seed=7)
    elsewhere = arena.answer("Tell me a story.", temperature=1.0, seed=7)
    other = arena.answer("Tell me a story.", temperature=1.0, seed=8)
    assert first.text == again.text == elsewhere.text != other.text


def test_a_second_turn_asked_again_gives_the_same_text(arena: Arena) -> None:
    """The earlier answer is in the cache as it was written, token by token, both times."""
    history = "List three fruits.", arena.answer("List three fruits.", conversation="regenerate").text
    first, again = (
        arena.answer(*history, "Describe the first one.", conversation="regenerate", seed=3) for _ in range(2)
    )
    assert first.text == again.text


def test_a_second_turn_reads_only_what_is_new(arena: Arena) -> None:
    """Also when another conversation used the model in between."""
    first = arena.answer("Name a color.", conversation="prefix", max_tokens=30)
    arena.answer("Name an animal.")
    second = arena.answer("Name a color.", first.text, "Why that one?", conversation="prefix")
    assert second.prompt_tokens and first.prompt_tokens
    # Everything but the last sampled token of the first answer, its end and the new message is reused.
    assert second.cached_tokens == pytest.approx(first.prompt_tokens + first.completion_tokens, abs=1)


def test_a_changed_message_is_read_from_where_it_changed(arena: Arena) -> None:
    """After an edit the answer is the one a fresh conversation would get, not one to the old message."""
    opening = "word " * 100
    arena.answer(opening + "What is the capital of France?", conversation="edit", temperature=0)
    edited = arena.answer(opening + "What is two plus two?", conversation="edit", temperature=0)
    fresh = arena.answer(opening + "What is two plus two?", temperature=0)
    assert edited.text == fresh.text
    assert edited.cached_tokens and 75 < edited.cached_tokens < fresh.prompt_tokens  # type: ignore[operator]


def test_sampling_settings_take_effect(arena: Arena) -> None:
    greedy = [arena.answer("Name a color.", max_tokens=8, temperature=0, seed=s).text for s in (1, 2)]
    assert greedy[0] == greedy[1]
    assert arena.answer("Name a color.", max_tokens=8, temperature=1.5, top_k=1, seed=5).text == greedy[0]
    assert arena.answer("Name a color.", max_tokens=8, temperature=1.5, top_p=0.0, top_k=0, seed=5).text == greedy[0]
    assert arena.answer("Name a color.", max_tokens=8, temperature=1.5, min_p=1.0, top_k=0, seed=5).text == greedy[0]
    repeated = arena.answer("Say 'no' many times.", temperature=0, repeat_penalty=1.0, max_tokens=20).text
    assert arena.answer("Say 'no' many times.", temperature=0, repeat_penalty=1.9, max_tokens=20).text != repeated
    stopped = arena.answer("Count: 1, 2, 3", temperature=0, stop=(",", "."), max_tokens=40)
    assert stopped.finish_reason == "stop"
    assert not {",", "."} & set(stopped.text)


@pytest.mark.parametrize("processes", [1, 2])
def test_answers_stream_side_by_side(arena: Arena, processes: int) -> None:
    """On one model and on two, answers make progress in turns, are marked as shared, and busy times do not overlap."""
    models = [arena.model, another(arena.model) if processes == 2 else arena.model]
    for model in models:
        assert arena.answer("Hi", model=model, max_tokens=2).shared is False
    began = time.monotonic()
    pair = [arena.ask(LONG, model=model, max_tokens=60, seed=s) for s, model in enumerate(models)]
    both_writing = False
    while any(g.snapshot().state != "done" for g in pair):
        both_writing |= all(0 < g.snapshot().completion_tokens < 60 for g in pair)
        time.sleep(0.005)
    responses = [g.wait() for g in pair]
    assert both_writing
    assert all(r.shared and r.waiting_s and r.waiting_s > 0 for r in responses)
    assert sum(r.latency_s or 0 for r in responses) <= time.monotonic() - began


def test_ten_visitors_all_get_answers_and_see_their_place(arena: Arena) -> None:
    generations = [arena.ask("Name an animal.", max_tokens=3, seed=s) for s in range(10)]
    places = [g.snapshot().queue_place for g in generations]
    assert places[ACTIVE:] == list(range(1, 11 - ACTIVE))
    assert places[:ACTIVE] == [None] * ACTIVE
    assert all(g.wait(60).text for g in generations)


def cores_busy(engine: Engine) -> float:
    """CPU seconds per second that the engine's workers use now."""
    workers = [psutil.Process(pid) for pid in engine.worker_pids().values()]
    before = [sum(w.cpu_times()[:2]) for w in workers]
    time.sleep(0.25)
    return sum(sum(w.cpu_times()[:2]) - b for w, b in zip(workers, before, strict=True)) / 0.25


def test_cancelling_keeps_what_was_written_and_frees_the_cores(arena: Arena) -> None:
    generation = arena.ask(LONG, max_tokens=2000)
    until(generation, "writing")
    time.sleep(0.3)
    generation.cancel()
    response = generation.wait(5)
    assert response.finish_reason == "cancelled"
    assert response.text and response.decode_tok_s
    assert response in arena.recorded
    assert cores_busy(arena.engine) < 0.2


def test_cancelling_in_the_middle_of_a_prompt(arena: Arena) -> None:
    generation = arena.ask("word " * 4000)
    until(generation, "reading")
    generation.cancel()
    response = generation.wait(5)
    assert response.finish_reason == "cancelled"
    assert response.text == ""
    assert response.latency_s is None and response.prompt_tokens and response.prompt_tokens > 4000
    assert cores_busy(arena.engine) < 0.2
    assert arena.answer("Hi", max_tokens=3).text


def test_cancelling_while_queued_or_loading(embedded: ChatModel) -> None:
    engine = Engine()
    arena = Arena(engine, embedded)
    try:
        generations = [arena.ask(LONG) for _ in range(ACTIVE + 2)]
        assert generations[0].snapshot().state == "loading"
        assert "SmolLM2" in (generations[0].snapshot().detail or "")
        for generation in reversed(generations):
            generation.cancel()
        assert {g.wait(5).finish_reason for g in generations} == {"cancelled"}
        assert arena.answer("Hi", max_tokens=3).text
    finally:
        engine.close()


def test_a_killed_worker_costs_its_answers_and_nothing_else(arena: Arena) -> None:
    generation = arena.ask(LONG, max_tokens=500)
    until(generation, "writing")
    psutil.Process(arena.engine.worker_pids()[arena.model.base.sha256]).kill()
    response = generation.wait(5)
    assert response.finish_reason == "error"
    assert "killed" in (response.error or "") and "Ask again" in (response.error or "")
    assert response in arena.recorded
    assert arena.answer("Hi", max_tokens=3).text


def hanging(model: ChatModel) -> ChatModel:
    """The model with a template that takes years to render."""
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% for k in range(99999) %}{% endfor %}{% endfor %}"
    base = replace(model.base, sha256="3" * 64, chat_template=loop + "{% endfor %}{{ messages[0].content }}")
    return replace(model, key="hanging", base=base)


def test_stop_ends_a_worker_that_hangs(arena: Arena) -> None:
    generation = arena.ask("Hi", model=hanging(arena.model))
    waiting = arena.ask("Hi", max_tokens=3)
    until(generation, "waiting")
    generation.cancel()
    assert generation.wait(10).finish_reason == "cancelled"
    assert waiting.wait(10).text


def test_a_worker_that_hangs_costs_its_answer_only(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anybody at the Stop button; the patience is shortened, because the real one is minutes."""
    monkeypatch.setattr("evaluation.engine.engine.STALL_S", 1.5)
    engine = Engine()
    impatient = Arena(engine, arena.model)
    try:
        hung = impatient.ask("Hi", model=hanging(arena.model))
        waiting = impatient.ask("Hi", max_tokens=3)
        assert "did nothing for" in (hung.wait(20).error or "")
        assert waiting.wait(10).text
    finally:
        engine.close()


def test_a_prompt_longer_than_the_context_is_refused_with_both_lengths(arena: Arena) -> None:
    response = arena.answer("word " * 9000)
    assert (response.finish_reason, response.text) == ("context", "")
    assert f"{response.prompt_tokens:,}" in (response.error or "")
    assert "8,192" in (response.error or "")
    assert arena.answer("Hi", max_tokens=3).text


def test_a_context_that_is_full_ends_the_answer(embedded: ChatModel) -> None:
    """The model below is told that it was trained for 64 tokens only."""
    engine = Engine()
    small = replace(embedded, base=replace(embedded.base, context_length=64))
    try:
        response = Arena(engine, small).answer(LONG, max_tokens=500)
    finally:
        engine.close()
    assert response.finish_reason == "context"
    assert response.prompt_tokens and response.prompt_tokens + response.completion_tokens == 64 + 1
    assert "64 tokens" in (response.error or "")


def test_a_model_larger_than_memory_is_refused_with_the_figures(arena: Arena) -> None:
    base = replace(arena.model.base, sha256="0" * 64, name="Huge", size_bytes=2 * 10**12)
    response = arena.answer("Hi", model=replace(arena.model, base=base))
    assert response.finish_reason == "error"
    assert "Huge needs about 23" in (response.error or "") and "GB is free" in (response.error or "")


def test_models_share_scarce_memory_in_turns(embedded: ChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """With memory for one model, the second waits for the first one's answer, and then takes the place of the idle
    model. Only the machine's free memory is made up."""
    engine = Engine()
    arena = Arena(engine, embedded)

    def room_for_one_model() -> int:
        loaded = [pid for pid in engine.worker_pids().values() if psutil.Process(pid).memory_info().rss > 120e6]
        return 0 if loaded else 10**9

    monkeypatch.setattr("evaluation.engine.engine.memory_available_bytes", room_for_one_model)
    try:
        first = arena.ask(LONG, max_tokens=60)
        until(first, "writing")
        second = arena.ask("Hi", model=another(embedded), max_tokens=3)
        until(second, "waiting")
        assert "memory for Another" in (second.snapshot().detail or "")
        assert second.wait(60).text
        assert first.wait(60).finish_reason in ("stop", "length")
        assert list(engine.worker_pids()) == ["2" * 64]
        assert arena.answer("Hi", max_tokens=3).cold
        assert list(engine.worker_pids()) == [embedded.base.sha256]
    finally:
        engine.close()


def test_an_unloadable_file_costs_one_answer(arena: Arena, tmp_path: Path) -> None:
    base = replace(arena.model.base, sha256="1" * 64, path=tmp_path / "gone.gguf")
    response = arena.answer("Hi", model=replace(arena.model, base=base))
    assert response.finish_reason == "error"
    assert "gone.gguf" in (response.error or "")
    assert arena.answer("Hi", max_tokens=3).text


def test_an_empty_message_and_a_huge_one_are_answered_or_refused(arena: Arena) -> None:
    """Nothing a user types may bring the worker down."""
    for content in ("", " \n", "<|im_end|>", "<script>alert(1)</script>", "\x00\ud800", "é" * 100_000, "a" * 1_000_000):
        response = arena.answer(content, max_tokens=4)
        assert response.finish_reason in ("stop", "length", "context"), (content[:20], response.error)


@pytest.fixture(scope="module")
def tuned(embedded: ChatModel, tmp_path_factory: pytest.TempPathFactory) -> ChatModel:
    path = tmp_path_factory.mktemp("run") / "adapter.gguf"
    write_lora_adapter(path, embedded.base.path, rank=8, seed=1, scale=0.5)
    adapter = Adapter(path, "a" * 64, "run-1", path.stat().st_size)
    return replace(embedded, key="tuned", name="tuned", adapter=adapter)


def greedy(arena: Arena, model: ChatModel) -> Response:
    return arena.answer("Why is the sky blue?", model=model, temperature=0)


def test_an_adapter_shares_its_bases_weights_and_leaves_the_base_alone(arena: Arena, tuned: ChatModel) -> None:
    before, workers = greedy(arena, arena.model), arena.engine.worker_pids()
    adapted, after = greedy(arena, tuned), greedy(arena, arena.model)
    assert before.text == after.text != adapted.text
    assert arena.engine.worker_pids() == workers
    assert adapted.model.adapter_run == "run-1"


def test_a_damaged_adapter_costs_one_answer(arena: Arena, tuned: ChatModel, tmp_path: Path) -> None:
    assert tuned.adapter
    path = tmp_path / "adapter.gguf"
    path.write_bytes(tuned.adapter.path.read_bytes()[:5000])
    response = greedy(arena, replace(tuned, adapter=replace(tuned.adapter, path=path)))
    assert response.finish_reason == "error"
    assert "adapter" in (response.error or "")
    assert greedy(arena, arena.model).text


def test_what_the_recorder_raises_does_not_hide_the_answer(embedded: ChatModel) -> None:
    def full_disk(_: Response) -> None:
        raise OSError("The results folder is full.")

    engine = Engine(full_disk)
    try:
        generation = Arena(engine, embedded).ask("Hi", max_tokens=3)
        assert generation.wait(30).text
        assert generation.snapshot().save_error == "The results folder is full."
    finally:
        engine.close()
