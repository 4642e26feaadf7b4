"""Sizes of files and of memory as people say them: decimal, as file sizes are given."""


def shown_size(size_bytes: int) -> str:
    """``1.3 GB``, ``98 MB``, ``9.8 MB``, ``12 kB``."""
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:,.1f} GB"
    if size_bytes >= 1e7:
        return f"{size_bytes / 1e6:.0f} MB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
