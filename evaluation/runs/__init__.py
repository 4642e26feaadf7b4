"""What training runs did: their logs as tables, the list of them, trend, differences and lineage.

Everything is read from the folders that ``training.runlog`` writes, ``results/runs/`` and ``results/published/runs/``.
"""
