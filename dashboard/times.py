"""Times as people say them: moments in the reader's own time zone, and durations no more exact than they are known."""

from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

MINUTE_S, HOUR_S = 60, 3600


def local_time(seconds_utc: float) -> str:
    """``3 Nov 2026, 14:05``."""
    moment = _local(seconds_utc)
    return f"{moment.day} {moment:%b %Y, %H:%M}"


def local_date(seconds_utc: float) -> str:
    """``3 Nov 2026``."""
    moment = _local(seconds_utc)
    return f"{moment.day} {moment:%b %Y}"


def local_clock(seconds_utc: float) -> str:
    """``14:05``, with the date in front when that is not today's."""
    moment = _local(seconds_utc)
    return f"{moment:%H:%M}" if moment.date() == datetime.now(moment.tzinfo).date() else local_time(seconds_utc)


def duration(seconds: float) -> str:
    """A duration that was measured: ``4.2 s``, ``42 s``, ``13 min 32 s``, ``5 h 07 min``."""
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, MINUTE_S)
    if whole < HOUR_S:
        return f"{minutes} min {rest:02} s"
    return f"{whole // HOUR_S:,} h {minutes % 60:02} min"


def about(seconds: float) -> str:
    """A duration that was only estimated: ``about 40 seconds``, ``about 38 minutes``, ``about 2.5 hours``."""
    if seconds < 0.9 * MINUTE_S:
        return f"about {max(5, 5 * round(seconds / 5))} seconds"
    if seconds < 1.5 * HOUR_S:
        minutes = round(seconds / MINUTE_S)
        return f"about {minutes} minute{'' if minutes == 1 else 's'}"
    return f"about {round(2 * seconds / HOUR_S) / 2:g} hours"


def _local(seconds_utc: float) -> datetime:
    zone: tzinfo = UTC
    with suppress(ZoneInfoNotFoundError, ValueError):  # the browser's name for it may be unknown here
        zone = ZoneInfo(st.context.timezone or "UTC")
    return datetime.fromtimestamp(seconds_utc, zone)
