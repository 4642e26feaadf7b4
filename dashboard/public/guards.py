"""Which guard watches whom: strangers share one, owners and everybody at home have none."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import streamlit as st

from dashboard import visitors
from dashboard.public.guard import Guard
from dashboard.public.limits import Limits
from evaluation.engine.api import Generation
from evaluation.models import Catalog

Note = Callable[[Generation], None]


@st.cache_resource(show_spinner=False)
def _of_strangers() -> Guard:
    return Guard(Limits.from_environment())


def of_visitor() -> Guard | None:
    """``None`` for who may do everything. Raises ``LimitError`` when the environment says nonsense."""
    return _of_strangers() if visitors.hides() else None


def visitor_of(guard: Guard) -> str:
    """As whom the guard knows this visitor."""
    return guard.visitor(visitors.address(guard.limits.proxies))


def asking() -> Callable[[int, int], AbstractContextManager[Note]]:
    """``Guard.asking`` for this visitor: so many answers to a prompt of so many characters. What is returned calls
    nothing of Streamlit."""
    guard = of_visitor()
    if guard is None:
        return lambda answers, characters: nullcontext(lambda generation: None)
    visitor = visitor_of(guard)
    return lambda answers, characters: guard.asking(visitor, answers, characters)


def offered(catalog: Catalog) -> Catalog:
    """The models that this visitor may ask."""
    guard = of_visitor()
    if guard is None or guard.limits.endpoints:
        return catalog
    return Catalog(catalog.models, catalog.unusable)
