"""From stored records to the figures of the leaderboard."""

import math
import os
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import pytest

from evaluation.leaderboard.answers import Answers, Selection
from evaluation.record_json import to_json_line
from evaluation.records import AnswerLoss, Cell, Message, Response, Sampling
from evaluation.settings import PUBLISHED_DIR
from evaluation.text_figures import text_figures
from tests.responses import ADAPTED, FIXTURE, HOST, LOSS, MODEL, PLAIN, random_responses

ALL = Selection(HOST.key)
TEXT = "Air scatters blue light. It does so **more** than red."


def answer(number: int, prompt: str = "sky", **changes: Any) -> Response:
    """An answer of a benchmark that counts; ``number`` is its repeat, and makes its id and its times."""
    usual = {
        "id": f"{prompt}-{changes.get('model', MODEL).key}-{number}",
        "origin": "benchmark",
        "messages": (Message("user", prompt),),
        "text": TEXT,
        "text_figures": text_figures(TEXT),
        "submitted_at": PLAIN.submitted_at + number,
        "ended_at": PLAIN.submitted_at + number + 5,
        "prompt_busy_s": 0.5 + number / 10,
        "decode_busy_s": 2.0 + number,
        "prompt_tokens": 50,
        "cached_tokens": 0,
        "completion_tokens": 21,
        "place": None,
        "cell": Cell("night", "study", prompt, number, "explanation"),
    }
    return replace(PLAIN, **(usual | changes))


def store(folder: Path, records: Iterable[Response | AnswerLoss], name: str = "a.jsonl") -> Path:
    """Append to a file in a folder of results."""
    records = list(records)
    path = folder / ("losses" if isinstance(records[0], AnswerLoss) else "responses") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.writelines(map(to_json_line, records))
    return path


def read(folder: Path, published: Path | None = None) -> Answers:
    answers = Answers(folder, published)
    answers.refresh()
    return answers


def only(frame: pd.DataFrame) -> dict[str, Any]:
    (row,) = frame.to_dict("records")
    return row


def count(answers: Answers) -> int:
    return sum(host.answers for host in answers.hosts())


class TestFigures:
    def test_medians_over_the_repeats(self, tmp_path: Path) -> None:
        """Each figure of a cell against the record's own definition."""
        responses = [answer(number) for number in range(4)]
        store(tmp_path, responses)
        cell = only(read(tmp_path).cells(ALL))
        figures = text_figures(TEXT)
        latency_s = sorted(response.latency_s or 0.0 for response in responses)
        expected = {
            "model_key": MODEL.key,
            "prompt": "sky",
            "prompt_set": "study",
            "kind": "explanation",
            "answers": 4,
            "latency_s": median(latency_s),
            "latency_s_q1": latency_s[0] * 0.25 + latency_s[1] * 0.75,
            "latency_s_q3": latency_s[2] * 0.75 + latency_s[3] * 0.25,
            "time_to_first_token_s": 0.65,
            "decode_tok_s": median(response.decode_tok_s or 0.0 for response in responses),
            "prompt_tok_s": median(response.prompt_tok_s or 0.0 for response in responses),
            "words": figures.words,
            "sentences": figures.sentences,
            "seconds_per_word": median(response.seconds_per_word or 0.0 for response in responses),
            "ended": 1.0,
            "repeated_4grams": figures.repeated_4grams,
            "markdown": figures.markdown,
        }
        for name, value in expected.items():
            assert cell[name] == (pytest.approx(value) if isinstance(value, float) else value), name
        assert math.isnan(cell["bits_per_byte"])

    def test_latency_at_150_words(self, tmp_path: Path) -> None:
        """Worked by hand: two tokens per word, so 150 words are 300 tokens; at 10 tokens/s that takes 30 s, and 40 s at
        7.5. Two repeats at 30.5 and 50.5 s have quartiles a fourth from each end."""
        six, fifteen = (
            {"text": "a " * words, "text_figures": text_figures("a " * words)} | {"completion_tokens": 2 * words}
            for words in (6, 15)
        )
        store(
            tmp_path,
            [
                answer(0, "short", prompt_busy_s=0.5, decode_busy_s=1.1, **six),
                answer(0, "long", prompt_busy_s=0.25, decode_busy_s=29 / 7.5, **fifteen),
                answer(0, "twice", prompt_busy_s=0.5, decode_busy_s=1.1, **six),
                answer(1, "twice", prompt_busy_s=20.5, decode_busy_s=1.1, **six),
            ],
        )
        cells = read(tmp_path).cells(ALL).set_index("prompt")
        assert cells.loc["short", "latency_150_s"] == pytest.approx(30.5)
        twice = cells.loc["twice", ["latency_150_s_q1", "latency_150_s", "latency_150_s_q3"]]
        assert list(twice) == pytest.approx([35.5, 40.5, 45.5])
        assert cells.loc["long", "latency_150_s"] == pytest.approx(40.25)

    def test_answers_of_no_and_one_token(self, tmp_path: Path) -> None:
        """They have a latency; decode speed, and per word what has no words, is unknown and not zero."""
        empty = {"text": "", "text_figures": text_figures(""), "completion_tokens": 0, "decode_busy_s": 0.0}
        word = {"text": "No", "text_figures": text_figures("No"), "completion_tokens": 1, "decode_busy_s": 0.0}
        store(tmp_path, [answer(0, "nothing", **empty), answer(0, "one", **word)])
        cells = read(tmp_path).cells(ALL).set_index("prompt")
        assert list(cells["latency_s"]) == [0.5, 0.5]
        assert list(cells.loc[["nothing", "one"], "words"]) == [0, 1]
        assert cells.loc["one", "seconds_per_word"] == 0.5
        assert cells["decode_tok_s"].isna().all() and cells["latency_150_s"].isna().all()
        assert math.isnan(cells.loc["nothing", "seconds_per_word"])
        assert math.isnan(cells.loc["nothing", "repeated_4grams"])

    def test_texts_of_old_records_are_counted(self, tmp_path: Path) -> None:
        """A record from before the counts were stored gives the same figures."""
        store(tmp_path, [answer(0, "new"), answer(0, "old", text_figures=None)])
        cells = read(tmp_path).cells(ALL).set_index("prompt")
        columns = ["words", "sentences", "repeated_4grams", "markdown", "seconds_per_word"]
        pd.testing.assert_series_equal(cells.loc["new", columns], cells.loc["old", columns], check_names=False)

    def test_losses_join_by_host_model_and_prompt(self, tmp_path: Path) -> None:
        """The newest that could be measured; not that of another host or model; its benchmark does not matter."""
        asked = (Message("user", "sky"),)
        loss = replace(LOSS, messages=asked, benchmark="another")
        store(
            tmp_path,
            [
                replace(loss, id="1", loss_nats=99.0, measured_at=1.0),
                replace(loss, id="2", loss_nats=12.0, measured_at=2.0),
                replace(loss, id="3", loss_nats=None, reference_tokens=None, error="No.", measured_at=3.0),
                replace(loss, id="4", loss_nats=50.0, host=replace(HOST, key="other"), measured_at=4.0),
                replace(loss, id="5", loss_nats=60.0, model=ADAPTED, measured_at=5.0),
            ],
        )
        store(tmp_path, [answer(0)])
        cell = only(read(tmp_path).cells(ALL))
        measured = replace(loss, loss_nats=12.0)
        assert cell["bits_per_byte"] == pytest.approx(measured.bits_per_byte)
        assert cell["answer_loss_nats"] == pytest.approx(measured.answer_loss_nats)
        store(tmp_path, [replace(loss, id="6", model=ADAPTED, reference="Another.", loss_nats=9.0, measured_at=9.0)])
        assert math.isnan(only(read(tmp_path).cells(ALL))["bits_per_byte"]), "of another text: nothing to compare"

    def test_the_published_study(self, tmp_path: Path) -> None:
        """Its own host; latency and words are known, speeds are not."""
        answers = read(tmp_path, PUBLISHED_DIR)
        host = next(host for host in answers.hosts() if host.published)
        cells = answers.cells(Selection(host.key, common=False))
        assert cells["answers"].sum() == host.answers
        assert cells["latency_s"].notna().all()
        assert cells[["decode_tok_s", "time_to_first_token_s", "latency_150_s", "bits_per_byte"]].isna().all(axis=None)
        times = cells.set_index(["model_key", "prompt"])["latency_s"]
        assert times["published-llama-3.2-1b-instruct-r16-60steps", "Explain the Pythagorean theorem."] == 32.0


class TestWhichCount:
    def test_left_out_with_the_reason(self, tmp_path: Path) -> None:
        """Every way not to count, beside one answer that does."""
        ways: list[tuple[str, dict[str, Any]]] = [
            ("the context was full", {"finish_reason": "context"}),
            ("stopped by the user", {"finish_reason": "cancelled"}),
            ("warm-up", {"cell": Cell("night", "study", "sky", 0, warm_up=True), "load_s": 1.5}),
            ("model was being loaded", {"load_s": 1.5}),
            ("continued a conversation", {"cached_tokens": 12}),
            ("times are missing", {"prompt_busy_s": None}),
            ("times are missing", {"decode_busy_s": None}),
            ("times make no sense", {"prompt_busy_s": -0.5}),
            ("times make no sense", {"prompt_busy_s": 0.0}),
            ("times make no sense", {"decode_busy_s": 0.0}),
            ("times make no sense", {"origin": "published", "ended_at": PLAIN.submitted_at - 3600}),
            ("disturbed", {"cell": Cell("night", "study", "sky", 7, "explanation", disturbed=True)}),
            ("answered again", {"cell": Cell("night", "study", "sky", 0, "explanation", disturbed=True)}),
            ("answered again", {"finish_reason": "error", "error": "It crashed."}),
        ]
        store(tmp_path, [answer(0), *(answer(0, id=str(number), **change) for number, (_, change) in enumerate(ways))])
        answers = read(tmp_path)
        assert only(answers.cells(ALL))["answers"] == 1
        model = only(answers.models(ALL))
        assert (model["answers"], model["failed"]) == (1, 0)
        assert model["left_out"] == Counter(reason for reason, _ in ways)

    def test_a_clock_that_jumped(self, tmp_path: Path) -> None:
        """Busy times do not depend on the clock, so such an answer counts with them."""
        store(tmp_path, [answer(0, ended_at=PLAIN.submitted_at - 86_400)])
        assert only(read(tmp_path).cells(ALL))["latency_s"] == 2.5

    def test_a_model_whose_answers_all_failed(self, tmp_path: Path) -> None:
        """It has a row, no cells, and takes no prompt from the others."""
        failed = [answer(n, model=ADAPTED, finish_reason="error", error="It crashed.") for n in range(3)]
        store(tmp_path, [answer(0), *failed])
        answers = read(tmp_path)
        models = answers.models(ALL).set_index("model_key")
        assert models.loc[ADAPTED.key, "failed"] == 3
        assert (models.loc[ADAPTED.key, "answers"], models.loc[ADAPTED.key, "left_out"]) == (0, {})
        assert list(answers.cells(ALL)["model_key"]) == [MODEL.key]

    def test_disturbed_ones_count_when_asked_for(self, tmp_path: Path) -> None:
        """And only then."""
        store(tmp_path, [answer(0, cell=Cell("night", "study", "sky", 0, disturbed=True))])
        answers = read(tmp_path)
        assert len(answers.cells(ALL)) == 0
        assert len(answers.cells(replace(ALL, disturbed=True))) == 1

    def test_prompts_that_all_models_answered(self, tmp_path: Path) -> None:
        """Others are left out where such prompts exist, and kept where there is none."""
        store(tmp_path, [answer(0, "sky"), answer(0, "sea"), answer(0, "sky", model=ADAPTED)])
        answers = read(tmp_path)
        assert set(answers.cells(ALL)["prompt"]) == {"sky"}
        assert answers.models(ALL).set_index("model_key").loc[MODEL.key, "left_out"] == {
            "prompt not answered by every model": 1
        }
        assert len(answers.cells(replace(ALL, common=False))) == 3
        assert set(answers.cells(replace(ALL, models=(MODEL.key,)))["prompt"]) == {"sky", "sea"}
        store(tmp_path, [answer(0, "fog", model=replace(MODEL, key="third"))])
        answers.refresh()
        assert len(answers.cells(ALL)) == 4


class TestSelection:
    def test_each_filter(self, tmp_path: Path) -> None:
        """By origin, benchmark, prompt set, prompt and model; hosts are never mixed."""
        store(
            tmp_path,
            [
                answer(0, "sky"),
                answer(0, "sea", cell=Cell("noon", "everyday", "sea", 0)),
                answer(0, "arena", origin="arena", cell=None),
                answer(0, "tuned", model=ADAPTED),
                answer(0, "elsewhere", host=replace(HOST, key="other")),
            ],
        )
        answers = read(tmp_path)
        every = replace(ALL, common=False)
        key = answers.choices(HOST.key).set_index("prompt").loc["sea", "prompt_key"]
        for selection, prompts in [
            (every, {"sky", "sea", "arena", "tuned"}),
            (replace(every, origins=("arena",)), {"arena"}),
            (replace(every, benchmarks=("night", "no such")), {"sky", "tuned"}),
            (replace(every, prompt_sets=("everyday",)), {"sea"}),
            (replace(every, prompts=(key,)), {"sea"}),
            (replace(every, models=(ADAPTED.key,)), {"tuned"}),
            (replace(every, host="other"), {"elsewhere"}),
            (replace(every, host="no such"), set()),
        ]:
            assert set(answers.cells(selection)["prompt"]) == prompts
            assert set(answers.points(selection)["prompt"]) == prompts
            assert answers.models(selection)["answers"].sum() == len(prompts)

    def test_one_prompt_across_origins(self, tmp_path: Path) -> None:
        """The same messages are the same prompt; another system prompt makes another one."""
        system = (Message("system", "Be brief."), Message("user", "sky"))
        store(tmp_path, [answer(0), answer(1, origin="arena", cell=None), answer(2, messages=system, id="system")])
        cells = read(tmp_path).cells(ALL)
        assert sorted(cells["answers"]) == [1, 2]
        assert list(cells["prompt"]) == ["sky", "sky"]

    def test_choices(self, tmp_path: Path) -> None:
        """One row per combination with its count; warm-ups are nothing to select, failed answers are."""
        warm_up = answer(5, "warm", cell=Cell("night", "study", "warm", 0, warm_up=True))
        store(tmp_path, [answer(0), answer(1, finish_reason="error", error="No."), answer(0, "sea"), warm_up])
        choices = read(tmp_path).choices(HOST.key).set_index("prompt")
        assert dict(choices["answers"]) == {"sky": 2, "sea": 1}
        assert choices.loc["sky", ["origin", "benchmark", "prompt_set", "kind", "model_name", "newest"]].to_list() == [
            "benchmark", "night", "study", "explanation", MODEL.name, PLAIN.submitted_at + 1,
        ]  # fmt: skip

    def test_hosts_with_most_benchmark_answers_first(self, tmp_path: Path) -> None:
        """Not those with most answers of all; a host with one record is one."""
        busy = replace(HOST, key="busy")
        store(tmp_path, [answer(n, id=str(n), host=busy, origin="arena", cell=None) for n in range(5)] + [answer(0)])
        hosts = read(tmp_path).hosts()
        assert [(host.key, host.answers, host.published) for host in hosts] == [
            (HOST.key, 1, False),
            ("busy", 5, False),
        ]
        assert (hosts[0].cpu, hosts[0].memory_bytes) == (HOST.cpu, HOST.memory_bytes)


class TestModels:
    def test_what_is_known_of_a_model(self, tmp_path: Path) -> None:
        """The newest name; the size from whichever record has it; each load; the peak of each load of a benchmark;
        every setting that answers were given with."""
        old = replace(MODEL, name="Old name", size_bytes=5_000_000)
        store(
            tmp_path,
            [
                answer(0, model=old, peak_memory_bytes=200),
                answer(0, "warm", model=old, load_s=1.5, cell=Cell("night", "study", "x", 0, warm_up=True)),
                answer(1, peak_memory_bytes=300, sampling=Sampling(temperature=0.0, max_tokens=64)),
                answer(1, "sea", peak_memory_bytes=350),
                answer(2, "cold", load_s=0.5, cell=None, origin="arena"),
            ],
        )
        model = only(read(tmp_path).models(replace(ALL, prompt_sets=("study",))))
        assert (model["model_name"], model["size_bytes"], model["quantization"]) == (MODEL.name, 5_000_000, "Q4_1")
        assert model["load_s"] == [1.5], "one that waited in the arena tells something else"
        assert model["peak_memory_bytes"] == [200, 350]
        assert model["settings"] == {(0.7, 512), (0.0, 64)}

    def test_texts_in_the_order_of_the_repeats(self, tmp_path: Path) -> None:
        """Of the answers that count, by model, wherever they are stored."""
        for number in (2, 0, 1):
            store(tmp_path, [answer(number, text=f"text {number}")], f"{number}.jsonl")
        store(tmp_path, [answer(7, model=ADAPTED, text="tuned"), answer(8, text="failed", finish_reason="error")])
        answers = read(tmp_path)
        key = answers.choices(HOST.key)["prompt_key"][0]
        found = answers.texts(ALL, key, (MODEL.key, ADAPTED.key, "deleted"))
        assert {model: [(each.repeat, each.text) for each in texts] for model, texts in found.items()} == {
            MODEL.key: [(0, "text 0"), (1, "text 1"), (2, "text 2")],
            ADAPTED.key: [(7, "tuned")],
        }

    def test_points_are_an_even_draw(self, tmp_path: Path) -> None:
        """At most so many, the same ones each time, with what a chart needs."""
        store(tmp_path, [answer(number) for number in range(30)])
        answers = read(tmp_path)
        points = answers.points(ALL, limit=10)
        assert len(points) == points["id"].nunique() == 10
        assert list(answers.points(ALL, limit=10)["id"]) == list(points["id"])
        assert set(answers.points(ALL)["repeat"]) == set(range(30))
        assert set(points["completion_tokens"]) == {21}


class TestRefresh:
    def test_only_what_is_new(self, tmp_path: Path) -> None:
        """Appended lines and new files are added once; the number changes only when the answers did."""
        answers = Answers(tmp_path / "it's [1]")
        empty = answers.refresh()
        assert (answers.hosts(), len(answers.cells(ALL)), len(answers.models(ALL))) == ([], 0, 0)
        store(tmp_path / "it's [1]", [answer(0)])
        one = answers.refresh()
        assert (count(answers), answers.refresh()) == (1, one)
        store(tmp_path / "it's [1]", [answer(1), answer(0, "sea")])
        store(tmp_path / "it's [1]", [answer(2)], "b.jsonl")
        two = answers.refresh()
        assert (count(answers), len({empty, one, two})) == (4, 3)
        assert dict(answers.cells(ALL).set_index("prompt")["answers"]) == {"sky": 3, "sea": 1}

    def test_replaced_shortened_and_removed_files(self, tmp_path: Path) -> None:
        """Their rows are read again, or go."""
        path = store(tmp_path, [answer(number) for number in range(3)])
        answers = read(tmp_path)
        with path.open("r+b") as file:
            file.truncate(len(to_json_line(answer(0))))
        answers.refresh()
        assert count(answers) == 1
        path.write_bytes(b"".join(to_json_line(answer(number, id=f"new-{number}")) for number in range(5)))
        answers.refresh()
        assert set(answers.points(ALL)["id"]) == {f"new-{number}" for number in range(5)}
        path.unlink()
        answers.refresh()
        assert (answers.hosts(), len(answers.cells(ALL))) == ([], 0)

    def test_a_line_that_is_being_written(self, tmp_path: Path) -> None:
        """Half of it is a torn line; when the rest is there it is an answer, once."""
        path = store(tmp_path, [answer(0)])
        line = to_json_line(answer(1))
        answers = read(tmp_path)
        for part, expected, torn in ((line[:300], 1, 1), (line[300:-1], 2, 0), (line[-1:], 2, 0)):
            with path.open("ab") as file:
                file.write(part)
            answers.refresh()
            assert (count(answers), len(answers.problems())) == (expected, torn)

    def test_from_many_threads(self, tmp_path: Path) -> None:
        """While answers come in, every thread sees whole states, and the last one sees all."""
        answers, counts, stop = Answers(tmp_path), [], threading.Event()

        def look() -> None:
            while not stop.is_set():
                answers.refresh()
                counts.append((count(answers), len(answers.points(ALL)), answers.cells(ALL)["answers"].sum()))

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(20):
            store(tmp_path, [answer(number)])
        stop.set()
        for thread in threads:
            thread.join()
        answers.refresh()
        assert count(answers) == 20
        assert counts


class TestDamage:
    def test_lines_that_are_no_records(self, tmp_path: Path) -> None:
        """Torn, foreign and newer lines are named with their file, line and reason; the rest counts."""
        path = store(tmp_path, [answer(0)])
        newer = to_json_line(answer(1)).replace(b'"format": 1', b'"format": 2')
        with path.open("ab") as file:
            file.write(b"\nno record\n" + newer + b'{"id": "x"}\n' + to_json_line(answer(2)) + b'{"id": "torn')
        bad_loss = store(tmp_path, [LOSS], "loss.jsonl")
        with bad_loss.open("ab") as file:
            file.write(b"nothing\n")
        answers = read(tmp_path)
        assert count(answers) == 2
        found = [(problem.path, problem.line, problem.reason) for problem in answers.problems()]
        assert [(at, line) for at, line, _ in found] == [(path, 3), (path, 4), (path, 5), (path, 7), (bad_loss, 2)]
        for (_, _, reason), part in zip(
            found, ("not a response", "newer", "missing", "cut off", "not an"), strict=True
        ):
            assert part in reason

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        """It costs itself only, and is named."""
        store(tmp_path, [answer(0)])
        (tmp_path / "responses" / "b.parquet").write_bytes(b"no Parquet")
        answers = read(tmp_path)
        assert count(answers) == 1
        (problem,) = answers.problems()
        assert (problem.path.name, problem.line) == ("b.parquet", 0)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
    def test_a_file_that_may_not_be_read(self, tmp_path: Path) -> None:
        """It is named, and read when that changes."""
        path = store(tmp_path, [answer(0)])
        path.chmod(0)
        answers = read(tmp_path)
        assert "cannot be read" in answers.problems()[0].reason
        path.chmod(0o600)
        answers.refresh()
        assert (count(answers), answers.problems()) == (1, ())

    def test_earlier_and_random_records(self, tmp_path: Path) -> None:
        """Whatever is unknown in a record, it is counted somewhere."""
        (tmp_path / "responses").mkdir()
        (tmp_path / "responses" / "old.jsonl").write_bytes(FIXTURE.read_bytes())
        responses = random_responses(seed=1, count=200)
        store(tmp_path, responses, "random.jsonl")
        answers = read(tmp_path)
        assert answers.problems() == ()
        assert count(answers) == len(responses) + len(FIXTURE.read_bytes().splitlines())
        models = answers.models(replace(ALL, common=False))
        counted = models["answers"].sum() + models["failed"].sum()
        left_out = sum(sum(reasons.values()) for reasons in models["left_out"])
        assert counted + left_out == next(host.answers for host in answers.hosts() if host.key == HOST.key)
