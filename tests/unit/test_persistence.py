"""Records in a data set of the hub, against its stand-in: over restarts, and whatever the hub does meanwhile."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

import evaluation.persistence as module
from evaluation.compact import compact
from evaluation.leaderboard.answers import Answers
from evaluation.persistence import Persistence, faults
from evaluation.persistence.files import KeptFiles
from evaluation.record_folder import FILE_BYTES
from evaluation.records import Response
from evaluation.store import ResponseStore, from_json_line, to_json_line
from scripts.live_app import PROJECT_ROOT
from tests.hub_protocol import Handler
from tests.hub_server import HubServer
from tests.record_writer import WEIGHTS
from tests.responses import MEASURED, PLAIN
from training.runlog import write_whole

DATASET = "owner/records"
RESTARTS, SPACES = 20, 4
Start = Callable[..., tuple[Persistence, ResponseStore]]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """With an owner's token in the environment."""
    with HubServer() as hub:
        hub.use(monkeypatch, tmp_path / "home")
        hub.tokens |= {"hf_owner": "owner", "hf_reader": "reader"}
        monkeypatch.setenv("HF_TOKEN", "hf_owner")
        yield hub


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Start]:
    """Begins on a folder as the app does, but in more of a hurry."""
    monkeypatch.setattr(module, "PUSH_DELAY_S", 0.02)
    monkeypatch.setattr(faults, "FIRST_RETRY_S", 0.05)
    with ExitStack() as running:

        def begin(folder: str = "results") -> tuple[Persistence, ResponseStore]:
            kept = Persistence(tmp_path / folder, DATASET)
            kept.restore()
            store = ResponseStore(tmp_path / folder / "responses", lock=kept.lock)
            kept.start()
            running.callback(kept.close)
            return kept, store

        yield begin


def numbered(number: int) -> Response:
    return replace(PLAIN, id=f"{number:026}")


def ids(store: ResponseStore) -> list[int]:
    return [int(response.id) for response in store.read().responses]


def wait_until(true: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "This did not come true in time."
        time.sleep(0.01)


def wait_until_pushed(kept: Persistence) -> None:
    wait_until(lambda: kept.state().unsaved == 0 and kept.state().fault is None)


def stored(hub: HubServer) -> Counter[str]:
    """How often each response is in the data set."""
    files = hub.repositories["dataset", DATASET].files
    lines = [line for name in files if name.startswith("responses/") for line in files[name].splitlines()]
    return Counter(from_json_line(line).id for line in lines)


def test_nothing_is_lost_over_twenty_restarts_under_load(hub: HubServer, tmp_path: Path) -> None:
    """Four Spaces on one data set, each losing its disk at every restart, are told to end (SIGTERM) while four threads
    of theirs write. In the end the data set has every record that anybody was told is saved, once, and nothing that is
    no record; and each process found what the earlier ones of its Space had left."""
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HOME": str(tmp_path / "home"),
    }
    chance, turn = random.Random(6), threading.Lock()
    with (
        subprocess.Popen(
            [sys.executable, "-m", "tests.record_writer", DATASET],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=PROJECT_ROOT,
            start_new_session=True,
        ) as writers,
        ExitStack() as whatever_happens,
        ThreadPoolExecutor(SPACES) as spaces,
    ):  # fmt: skip
        whatever_happens.callback(os.killpg, writers.pid, signal.SIGKILL)

        def live_again_and_again(space: int) -> set[str]:
            saved: set[str] = set()
            for life in range(RESTARTS // SPACES + 1):
                results, report = tmp_path / f"disk-{space}-{life}", tmp_path / f"report-{space}-{life}"
                with turn:
                    assert writers.stdin and writers.stdout
                    print(results, report, file=writers.stdin, flush=True)
                    process = psutil.Process(int(writers.stdout.readline()))
                wait_until(lambda: report.exists() and report.read_text().count("\n") > 5)  # noqa: B023
                time.sleep(chance.random() / 5)
                process.send_signal(signal.SIGTERM)
                wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE)  # noqa: B023
                found, *reported = report.read_text().splitlines()
                assert int(found.removeprefix("found ")) >= len(saved)
                saved.update(reported)
            return saved

        told = set[str]().union(*spaces.map(live_again_and_again, range(SPACES)))
    assert len(told) > 5 * RESTARTS
    assert stored(hub) == Counter(told)
    assert hub.repositories["dataset", DATASET].files.keys() >= WEIGHTS


class TestDataset:
    def test_records_are_pushed_soon_and_are_there_on_a_new_machine(self, hub: HubServer, start: Start, tmp_path: Path):
        """The data set is made, private, with a card; leaderboard and history see what came back. Locks, checkpoints,
        merged models and half-written files stay here."""
        kept, store = start()
        store.append(replace(MEASURED, id=PLAIN.id[:-1] + "D"))
        store.append(PLAIN)
        run = tmp_path / "results" / "runs" / "demo"
        adapter, left_here = "adapter/adapter_model.safetensors", ("run.lock", ".run.json-x", "model-Q4_0.gguf")
        for name in ("run.json", "log.jsonl", adapter, "checkpoints/x.json", *left_here):
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_text(f"{name}\n")
        wait_until(lambda: kept.state().pushed_at)
        kept.close()
        dataset = hub.repositories["dataset", DATASET]
        assert dataset.private
        assert b"private" in dataset.files["README.md"]
        assert {name for name in dataset.files if name.startswith("runs/")} == {
            f"runs/demo/{name}" for name in ("run.json", "log.jsonl", adapter)
        }
        _, elsewhere = start("elsewhere")
        assert elsewhere.read() == store.read()
        assert elsewhere.conversations() == store.conversations() != []
        answers = Answers(tmp_path / "elsewhere")
        answers.refresh()
        assert [host.key for host in answers.hosts()] == [PLAIN.host.key]
        assert (tmp_path / "elsewhere/runs/demo" / adapter).read_text() == f"{adapter}\n"

    def test_a_file_that_is_large_enough_is_closed(self, hub: HubServer, start: Start, tmp_path: Path) -> None:
        """Every push sends whole files, so they must not grow for ever."""
        kept, store = start()
        for number in range(5):
            store.append(replace(PLAIN, id=f"{number:026}", text="x" * (FILE_BYTES // 2)))
        wait_until_pushed(kept)
        sizes = [path.stat().st_size for path in (tmp_path / "results" / "responses").iterdir()]
        assert len(sizes) == 3
        assert set(stored(hub).values()) == {1}

    def test_a_half_written_line_stays_here(self, hub: HubServer, start: Start, tmp_path: Path) -> None:
        """Of another process, such as a benchmark, which does not hold this one's lock."""
        kept, store = start()
        other = tmp_path / "results" / "responses" / "benchmark.jsonl"
        other.parent.mkdir(parents=True)
        other.write_bytes(to_json_line(MEASURED) + b'{"id": "half')
        store.append(PLAIN)
        wait_until_pushed(kept)
        assert hub.repositories["dataset", DATASET].files["responses/benchmark.jsonl"] == to_json_line(MEASURED)

    def test_a_file_that_is_replaced_meanwhile_is_pushed_whole(self, tmp_path: Path) -> None:
        """Not as much of the new one as the old one was long."""
        (tmp_path / "runs" / "demo").mkdir(parents=True)
        write_whole(tmp_path / "runs/demo/run.json", b"{}")
        (changed,) = KeptFiles(tmp_path).changed()
        write_whole(tmp_path / "runs/demo/run.json", b'{"longer": true}')
        assert changed.content() == b'{"longer": true}'

    def test_commits_are_rationed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The hub allows about 128 an hour, and two Spaces may share a data set; a wrong clock changes nothing."""
        now_s = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: now_s)
        monkeypatch.setattr(time, "time", lambda: random.random() * 1e10)
        budget, commits = module._Budget(), 0
        while now_s < 3600:
            now_s += budget.wait_s() + 0.1
            budget.spend()
            commits += 1
        assert 40 < commits < 64

    def test_paths_that_lead_out_of_the_folder_are_not_fetched(self, hub: HubServer, start: Start, tmp_path: Path):
        """Whoever may write to the data set may not write elsewhere on this machine."""
        line = to_json_line(PLAIN)
        evil = ("responses/../../evil.jsonl", "../evil.jsonl", "evil.jsonl", "runs/../evil/run.json")
        hub.add(DATASET, {"responses/a.jsonl": line, **dict.fromkeys(evil, line)}, "dataset", private=True)
        _, store = start()
        assert store.read().responses == (PLAIN,)
        assert [path.name for path in tmp_path.rglob("*.json*")] == ["a.jsonl"]


class TestTwoMachines:
    """Each has its own files; what one has of the other's may be old."""

    def test_what_the_other_one_added_is_neither_overwritten_nor_doubled(
        self, hub: HubServer, start: Start, tmp_path: Path
    ) -> None:
        """B fetched A's file before it grew. It never pushes it, and at its next start, its disk being there still, it
        takes the longer one."""
        a, of_a = start("a")
        of_a.append(numbered(1))
        wait_until_pushed(a)
        b, of_b = start("b")
        of_a.append(numbered(2))
        wait_until_pushed(a)
        of_b.append(numbered(3))
        wait_until_pushed(b)
        assert set(stored(hub).values()) == {1} and len(stored(hub)) == 3
        assert ids(of_b) == [1, 3]
        b.close()
        _, again = start("b")
        assert ids(again) == [1, 2, 3]

    def test_a_shorter_file_is_not_pushed_over_the_longer_one(
        self, hub: HubServer, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not even while the longer one cannot be fetched; what is new here is pushed all the same."""
        old, new = to_json_line(numbered(1)), to_json_line(numbered(1)) + to_json_line(numbered(2))
        dataset = hub.add(DATASET, {"responses/x.jsonl": new}, "dataset", private=True)
        (tmp_path / "results" / "responses").mkdir(parents=True)
        (tmp_path / "results" / "responses" / "x.jsonl").write_bytes(old)
        with monkeypatch.context() as patch:
            patch.setattr(Handler, "send_file", lambda handler, *_: handler.send({"error": "Not now"}, 403))
            kept, store = start()
            store.append(numbered(3))
            wait_until(lambda: len(dataset.commits) > 1)
            assert kept.state().fault and ids(store) == [1, 3]
        wait_until(lambda: ids(store) == [1, 2, 3])
        assert all(commit.files["responses/x.jsonl"] == new for commit in dataset.commits)

    def test_what_is_newer_here_stays(self, hub: HubServer, start: Start, tmp_path: Path) -> None:
        """Records that were not pushed before a crash, where the disk survived: they are not replaced by the shorter
        file of the hub but pushed."""
        old, new = to_json_line(numbered(1)), to_json_line(numbered(1)) + to_json_line(numbered(2))
        hub.add(DATASET, {"responses/x.jsonl": old}, "dataset", private=True)
        (tmp_path / "results" / "responses").mkdir(parents=True)
        (tmp_path / "results" / "responses" / "x.jsonl").write_bytes(new)
        _, store = start()
        wait_until(lambda: hub.repositories["dataset", DATASET].files["responses/x.jsonl"] == new)
        assert ids(store) == [1, 2]

    def test_what_another_machine_may_still_add_to_is_not_turned(
        self, hub: HubServer, start: Start, tmp_path: Path
    ) -> None:
        """A Parquet file of it would count alone at every later start, without what came after."""
        a, of_a = start("a")
        of_a.append(numbered(1))
        wait_until_pushed(a)
        b, of_b = start("b")
        of_b.append(numbered(2))
        done = compact(tmp_path / "b" / "responses", older_than_s=-1)
        assert (done.files, done.fetched, done.left_alone) == (1, 1, ())
        of_b.append(numbered(3))
        wait_until_pushed(b)
        of_a.append(numbered(4))
        wait_until_pushed(a)
        _, of_c = start("c")
        assert ids(of_c) == [1, 2, 3, 4]

    def test_a_run_s_files_are_those_of_the_machine_that_changed_them(
        self, hub: HubServer, start: Start, tmp_path: Path
    ) -> None:
        """B fetched A's run, which went on: at its next start B takes the newer files, also the log, which a resumed
        run makes shorter. What B has changed itself stays and is pushed."""
        run = "runs/demo/run.json", "runs/demo/log.jsonl"
        dataset = hub.add(DATASET, dict.fromkeys(run, b'{"step": 1}\n{"step": 2}\n'), "dataset", private=True)
        start("b")[0].close()
        dataset.commit(dict.fromkeys(run, b'{"step": 9}\n'), "A went on")
        kept, _ = start("b")
        kept.close()
        assert {(tmp_path / "b" / name).read_bytes() for name in run} == {b'{"step": 9}\n'}
        assert len(dataset.commits) == 2
        for name in run:
            write_whole(tmp_path / "b" / name, b"{}\n")
        start("b")[0].close()
        assert {dataset.files[name] for name in run} == {b"{}\n"}

    @pytest.mark.parametrize("lines", [1, 2, 3])
    def test_files_that_went_separate_ways_are_both_kept(
        self, hub: HubServer, start: Start, tmp_path: Path, lines: int
    ) -> None:
        """Neither of two files of records holds the other: nothing of either is lost, and the one here counts as not
        saved."""
        there = to_json_line(numbered(1)) + to_json_line(numbered(2))
        here = b"".join(to_json_line(numbered(number)) for number in range(3, 3 + lines))
        dataset = hub.add(DATASET, {"responses/x.jsonl": there}, "dataset", private=True)
        path = tmp_path / "results" / "responses" / "x.jsonl"
        path.parent.mkdir(parents=True)
        path.write_bytes(here)
        kept, store = start()
        store.append(numbered(9))
        wait_until(lambda: len(dataset.commits) > 1)
        wait_until(lambda: kept.state().unsaved == lines)
        assert (dataset.files["responses/x.jsonl"], path.read_bytes()) == (there, here)

    def test_an_unchanged_folder_is_not_pushed_again(self, hub: HubServer, start: Start, tmp_path: Path) -> None:
        """What was restored is known to be there. What a killed process had half fetched is removed."""
        hub.add(DATASET, {"responses/x.jsonl": to_json_line(PLAIN)}, "dataset", private=True)
        (tmp_path / "results" / ".restore-killed").mkdir(parents=True)
        start()[0].close()
        assert not list((tmp_path / "results").glob(".restore-*"))
        start()[0].close()
        assert len(hub.repositories["dataset", DATASET].commits) == 1


class TestFaults:
    """The app goes on with its own disk, says what is wrong, and catches up by itself."""

    def test_no_hub_at_the_start(self, hub: HubServer, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        """Earlier records come later."""
        hub.add(DATASET, {"responses/x.jsonl": to_json_line(numbered(1))}, "dataset", private=True)
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        kept, store = start()
        store.append(numbered(2))
        state = kept.state()
        assert state.fault and "cannot be reached" in state.fault and "this machine's disk" in state.fault
        assert (state.unsaved, state.pushed_at, ids(store)) == (1, None, [2])
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        wait_until_pushed(kept)
        assert ids(store) == [1, 2] and len(stored(hub)) == 2

    @pytest.mark.parametrize(("status", "words"), [(503, "error 503"), (429, "too many requests"), (401, "HF_TOKEN")])
    def test_a_hub_that_refuses_for_a_while(self, hub: HubServer, start: Start, status: int, words: str) -> None:
        """The records wait on the disk."""
        kept, store = start()
        wait_until(lambda: ("dataset", DATASET) in hub.repositories)
        hub.broken, hub.retry_after_s = status, 0
        store.append(PLAIN)
        wait_until(lambda: kept.state().fault)
        assert words in str(kept.state().fault) and kept.state().unsaved == 1
        hub.broken = None
        wait_until_pushed(kept)
        assert stored(hub) == {PLAIN.id: 1}

    def test_deleted_while_the_app_runs(self, hub: HubServer, start: Start) -> None:
        """It is made again, private, with everything that is here, also what came from earlier processes."""
        hub.add(DATASET, {"responses/x.jsonl": to_json_line(numbered(1))}, "dataset", private=True)
        kept, store = start()
        store.append(numbered(2))
        wait_until_pushed(kept)
        del hub.repositories["dataset", DATASET]
        store.append(numbered(3))
        wait_until_pushed(kept)
        assert len(stored(hub)) == 3 and set(stored(hub).values()) == {1}
        assert hub.repositories["dataset", DATASET].private
        assert "was deleted" in str(kept.state().notice)

    def test_deleted_and_made_again_by_another_space(self, hub: HubServer, start: Start, tmp_path: Path) -> None:
        """Which had only a part of what is here: the rest is pushed again, and its own newer files stay."""
        of_b = to_json_line(numbered(1)), to_json_line(numbered(2))
        hub.add(DATASET, {"responses/b.jsonl": of_b[0]}, "dataset", private=True)
        a, of_a = start("a")
        (tmp_path / "a/losses").mkdir()
        for name, number in (("x", 3), ("y", 4)):
            (tmp_path / f"a/losses/{name}.jsonl").write_bytes(b"{}\n")
            of_a.append(numbered(number))
            wait_until_pushed(a)
        known = {"responses/b.jsonl": b"".join(of_b), "losses/x.jsonl": b"{}\n"}
        again = hub.add(DATASET, known, "dataset", private=True)
        of_a.append(numbered(5))
        wait_until(lambda: "losses/y.jsonl" in again.files)
        a.close()
        assert "was deleted" in str(a.state().notice)
        assert stored(hub) == {response.id: 1 for response in map(numbered, range(1, 6))}

    def test_a_public_data_set_gets_nothing_until_it_is_private(self, hub: HubServer, start: Start) -> None:
        """Visitors did not write for everyone. What it holds is read all the same."""
        dataset = hub.add(DATASET, {"responses/x.jsonl": to_json_line(numbered(1))}, "dataset")
        kept, store = start()
        store.append(numbered(2))
        wait_until(lambda: "is public" in str(kept.state().fault))
        assert ids(store) == [1, 2] and len(dataset.commits) == 1
        dataset.private = True
        wait_until_pushed(kept)
        assert len(stored(hub)) == 2

    @pytest.mark.parametrize("there", [True, False])
    def test_a_token_that_may_not_write(
        self, hub: HubServer, start: Start, monkeypatch: pytest.MonkeyPatch, there: bool
    ) -> None:
        """Whether there is a data set to read or not."""
        if there:
            dataset = hub.add(DATASET, {"responses/x.jsonl": to_json_line(numbered(1))}, "dataset", private=True)
            dataset.readers.add("reader")
        monkeypatch.setenv("HF_TOKEN", "hf_reader")
        monkeypatch.setattr(module, "LAST_PUSH_S", 0.1)
        kept, store = start()
        store.append(numbered(2))
        wait_until(lambda: "may not write" in str(kept.state().fault))
        assert "hf_reader" not in str(kept.state().fault)
        assert ids(store) == ([1, 2] if there else [2])
        assert kept.state().unsaved == 1

    @pytest.mark.parametrize(
        ("token", "dataset", "words"), [(None, DATASET, "HF_TOKEN"), ("hf_owner", "a/b/c", "user/name")]
    )
    def test_settings_that_cannot_work(
        self,
        hub: HubServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        token: str | None,
        dataset: str,
        words: str,
    ) -> None:
        """One sentence says which and how to mend it."""
        monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN", raising=False)
        kept = Persistence(tmp_path, dataset)
        kept.restore()
        assert words in str(kept.state().fault)

    def test_a_hub_that_hangs_holds_up_neither_start_nor_end(
        self, start: Start, hub: HubServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It takes the connection and never answers."""
        monkeypatch.setattr(module, "RESTORE_PATIENCE_S", 0.2)
        monkeypatch.setattr(module, "LAST_PUSH_S", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
            began = time.monotonic()
            kept, store = start()
            store.append(PLAIN)
            assert "still being fetched" in str(kept.state().notice)
            kept.close()
            assert time.monotonic() - began < 2
            monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        assert store.read().responses == (PLAIN,)

    def test_told_to_end_during_a_long_restore(
        self, hub: HubServer, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is new is pushed; the next start fetches the rest."""
        monkeypatch.setattr(module, "RESTORE_PATIENCE_S", 0.2)
        dataset = hub.add(DATASET, {"runs/x/adapter.gguf": b"x" * 1000}, "dataset", private=True)
        dataset.pace_bytes_s = 100
        kept, store = start()
        store.append(PLAIN)
        began = time.monotonic()
        kept.close()
        assert time.monotonic() - began < 2
        assert stored(hub) == {PLAIN.id: 1}

    def test_it_is_tried_again_when_the_hub_says_so(self) -> None:
        """In the header that the hub sends, or the general one; but not after hours."""

        def retry_after_s(headers: dict[str, str]) -> float:
            request = httpx.Request("POST", "https://huggingface.co")
            refused = HfHubHTTPError("", response=httpx.Response(429, headers=headers, request=request))
            return faults.retry_after_s(refused, failures=1)

        assert retry_after_s({"ratelimit": '"api";r=0;t=55'}) == 55
        assert retry_after_s({"Retry-After": "40"}) == 40
        assert retry_after_s({"Retry-After": "86400"}) == retry_after_s({}) == faults.LONGEST_RETRY_S
