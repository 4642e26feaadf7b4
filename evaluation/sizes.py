"""Sizes and durations as people say them."""


def shown_size(size_bytes: int) -> str:
    """``1.3 GB``, ``98 MB``, ``9.8 MB``, ``12 kB``: decimal, as file sizes are given."""
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:,.1f} GB"
    if size_bytes >= 1e7:
        return f"{size_bytes / 1e6:.0f} MB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """``50 s``, ``12 min``, ``1 h 40 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
