"""What is measured: the engine that answers, the records of its answers, and the store that keeps them.

A library without any user interface. The dashboard builds on it; it never imports the dashboard.
"""
