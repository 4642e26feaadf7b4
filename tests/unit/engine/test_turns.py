"""Who computes when."""

from evaluation.engine.turns import ACTIVE, Turns


def test_the_turn_goes_round() -> None:
    turns: Turns[str] = Turns()
    for name in "abc":
        turns.add(name)
    order = []
    for _ in range(6):
        turns.give(turns.active[0])
        order.append(turns.holder)
        turns.give_back()
    assert order == list("abcabc")


def test_answers_beyond_the_active_ones_queue_in_order() -> None:
    turns: Turns[int] = Turns()
    for number in range(ACTIVE + 3):
        turns.add(number)
    assert turns.active == tuple(range(ACTIVE))
    assert [turns.queue_place(n) for n in range(ACTIVE + 3)] == [None] * ACTIVE + [1, 2, 3]
    turns.remove(1)
    assert turns.active == (0, *range(2, ACTIVE), ACTIVE)
    assert turns.queue_place(ACTIVE + 1) == 1


def test_removing_the_holder_frees_the_turn() -> None:
    turns: Turns[str] = Turns()
    turns.add("a")
    turns.add("b")
    assert turns.contended
    turns.give("a")
    turns.remove("a")
    assert turns.holder is None
    assert not turns.contended
    assert turns.everyone == ("b",)
