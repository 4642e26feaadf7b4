"""A neighbour that uses half of one core: 10 ms of work, 10 ms of rest, until it is killed."""

import time

PERIOD_S = 0.02

while True:
    began = time.perf_counter()
    while time.perf_counter() - began < PERIOD_S / 2:
        pass
    time.sleep(PERIOD_S / 2)
