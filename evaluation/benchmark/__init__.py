"""Benchmarks: the same prompts to several models, each alone on the machine, repeated, with what disturbed them.

    python -m evaluation.benchmark --models "SmolLM2 135M Instruct" r16 --prompts study everyday --repeats 5

``plan`` says what is asked and in which order, ``runner`` does it, ``folder`` is what a benchmark leaves on disk and
how another process watches, stops and resumes it.
"""
