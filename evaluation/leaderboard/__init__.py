"""The leaderboard: from stored records to figures with intervals, and to what may be said about them.

``answers`` holds the figures of all stored answers in memory, ``board`` makes rows with intervals of them, ``compare``
pairs models prompt by prompt, ``verdict`` and ``study`` say in words what follows.
"""
