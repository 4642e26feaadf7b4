"""What else the machine did while an answer was written."""

import subprocess
import sys
import time

import pytest

from evaluation.benchmark.disturbance import CpuTimes, Disturbance, Meter, cpu_times, disturbance

START = CpuTimes(at=100.0, cores=2, busy_s=50.0, stolen_s=5.0, own_s=20.0)


def after(seconds: float, busy_s: float, stolen_s: float, own_s: float, cores: int = 2) -> CpuTimes:
    return CpuTimes(100.0 + seconds, cores, 50.0 + busy_s, 5.0 + stolen_s, 20.0 + own_s)


@pytest.mark.parametrize(
    ("now", "threads", "expected"),
    [
        pytest.param(after(10, 20.0, 0, 19.0), 2, Disturbance(0.1, 0.0, False), id="as good as alone"),
        pytest.param(after(10, 19.9, 0, 16.0), 2, Disturbance(0.39, 0.0, True), id="a neighbour"),
        pytest.param(after(10, 16.0, 3.0, 16.0), 2, Disturbance(0.0, 0.3, True), id="stolen by the hypervisor"),
        pytest.param(after(10, 19.0, 0, 9.0), 1, Disturbance(1.0, 0.0, False), id="the other core was left"),
        pytest.param(after(10, 500.0, 0, 20.0, 64), 2, Disturbance(48.0, 0.0, False), id="a large host, with room"),
        pytest.param(after(10, 19.9, 0, 20.0), 2, Disturbance(0.0, 0.0, False), id="ticks that don't quite agree"),
        pytest.param(after(10, -1.0, 0, 5.0), 2, Disturbance(None, None, False), id="a counter went backwards"),
        pytest.param(after(10, 10.0, -2.0, 5.0), 2, Disturbance(None, None, False), id="stolen went backwards"),
        pytest.param(after(0.1, 0.2, 0, 0.1), 2, Disturbance(None, None, False), id="too short to tell"),
    ],
)
def test_figures(now: CpuTimes, threads: int, expected: Disturbance) -> None:
    """Worked by hand: others' cores are what was busy and not ours, per second."""
    assert disturbance(START, now, threads) == expected


def test_a_busy_neighbour_is_seen_and_our_own_work_is_not_held_against_us() -> None:
    """A program that nobody here started keeps a core busy; a child of ours works as well. The second, short answer is
    judged by the time before it, too."""
    spin = "import time; end = time.monotonic() + 1.2\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    subprocess.run(
        ["sh", "-c", '"$0" -c "$1" >/dev/null &', sys.executable, spin], check=True
    )  # its parent ends at once
    time.sleep(0.1)
    meter, before = Meter(), cpu_times()
    meter.begin()
    ours = subprocess.run([sys.executable, "-c", spin.replace("1.2", "0.6")], check=True, capture_output=True)
    long = meter.end(threads=2)
    meter.begin()
    short = meter.end(threads=2)
    assert cpu_times().own_s - before.own_s > float(ours.stdout) - 0.05
    for each in (long, short):
        assert each.others_cores is not None and each.others_cores > 0.25
    assert long.disturbed or cpu_times().cores > 2
