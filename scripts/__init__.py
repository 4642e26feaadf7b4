"""Helpers around the app: set-up, serving, and looking at it with a real browser."""
