"""What is said about machines."""

from evaluation.leaderboard.answers import HostFacts
from evaluation.leaderboard.words import host_names


def test_machines_have_distinct_names_and_endpoints_their_address() -> None:
    """This machine is called so; two alike are told apart; of an endpoint nothing but the address is known."""
    cpu = "AMD EPYC 7763 64-Core Processor"
    here, twin = (HostFacts(key, cpu, 2.0, 2**34, "Linux", "llama 1", 5, False) for key in ("a", "b"))
    served = HostFacts("c", "gpu-box:8000", None, None, "unknown", "OpenAI-compatible", 5, False)
    assert host_names([here, twin, served], "a") == {
        "a": "This machine: AMD EPYC 7763, 2 cores, 16 GB",
        "b": "AMD EPYC 7763, 2 cores, 16 GB",
        "c": "Endpoint gpu-box:8000",
    }
    assert set(host_names([here, twin], None).values()) == {
        f"AMD EPYC 7763, 2 cores, 16 GB · llama 1 · {key}" for key in "ab"
    }
