"""Who takes a server down: by hand, then for any crowd of problems on a simulated server."""

import threading
from contextlib import ExitStack, nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.engines.suspects import (
    DEATHS,
    DEATHS_ALONE,
    FOUND_IN_A_ROW,
    Asked,
    Suspects,
    asking_for,
    shared_suspects,
)
from cord.types import Problem

GOOD, BAD, OTHER = (Problem(f"p{n}", f"question {n}", "0") for n in range(3))


class Server:
    """A server of one test: what was asked of it, in its own time."""

    def __init__(self) -> None:
        self.times_found = 0
        self.suspects = Suspects(self._found)
        self._open: dict[Asked, ExitStack] = {}

    def _found(self) -> None:
        self.times_found += 1

    def asked(self, problem: Problem | None, tells: bool = True) -> Asked:
        open_ = ExitStack()
        with asking_for(problem) if problem is not None else nullcontext():
            asked = open_.enter_context(self.suspects.asking(tells))
        self._open[asked] = open_
        return asked

    def given_up(self, asked: Asked) -> None:
        self._open.pop(asked).close()

    def dies_and_comes_back(self, *under_way: Asked) -> None:
        """Over these requests, which are then broken off."""
        for asked in under_way:
            assert self.suspects.begin(asked)
        for asked in under_way:
            self.suspects.broken_off(asked, unread=False)
        self.suspects.died("killed")
        self.suspects.died("still away")
        self.suspects.alive()


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_problem_that_the_server_dies_of_alone_is_found_and_the_others_are_free(server):
    good, bad = server.asked(GOOD), server.asked(BAD)
    for _ in range(DEATHS):
        server.dies_and_comes_back(good, bad)
    late = server.asked(OTHER)
    assert server.suspects.begin(good)
    assert not server.suspects.begin(bad), "one at a time"
    assert not server.suspects.begin(late), "while a suspect waits for its turn"
    server.suspects.answered(good)
    server.dies_and_comes_back(bad)
    assert not server.suspects.found(bad) and server.suspects.begin(late)
    server.suspects.answered(late)
    server.dies_and_comes_back(bad)
    assert server.suspects.found(bad) == "killed" and server.times_found == 1
    later = server.asked(OTHER)
    assert server.suspects.begin(later) and not server.suspects.found(later)
    assert server.suspects.found(server.asked(BAD)), "whatever else is asked for it"


def test_who_is_answered_is_no_suspect_any_more(server):
    for _ in range(5):
        with asking_for(GOOD), server.suspects.asking(tells=True) as asked:
            server.dies_and_comes_back(asked)
            assert server.suspects.begin(asked)
            server.suspects.answered(asked)
    assert not server.suspects.found(server.asked(GOOD))


def test_who_never_reached_the_server_was_not_there(server):
    asked = server.asked(GOOD)
    for _ in range(5):
        assert server.suspects.begin(asked)
        server.suspects.broken_off(asked, unread=True)
        server.suspects.died("away")
        server.suspects.alive()
    assert not server.suspects.found(asked)


def test_what_was_broken_off_while_the_server_lives_has_not_killed_it(server):
    asked = server.asked(BAD)
    for _ in range(5):
        assert server.suspects.begin(asked)
        server.suspects.broken_off(asked, unread=False)
        server.suspects.alive()
        server.suspects.died("somebody stopped it")
        server.suspects.alive()
    assert not server.suspects.found(asked)


def test_a_problem_given_up_in_between_is_remembered(server):
    for _ in range(2 * DEATHS_ALONE):
        with asking_for(BAD), server.suspects.asking(tells=False) as cheap:
            assert server.suspects.begin(cheap)
            server.suspects.answered(cheap)  # its text was tokenised, which says nothing
        with asking_for(BAD), server.suspects.asking(tells=True) as asked:
            server.dies_and_comes_back(asked)
    assert server.suspects.found(server.asked(BAD))


def test_a_request_of_no_problem_is_never_suspected(server):
    probe = server.asked(None)
    for _ in range(5):
        server.dies_and_comes_back(probe)
    assert not server.suspects.found(probe)


def test_where_nobody_else_asks_it_takes_more_deaths(server):
    bad = server.asked(BAD)
    for _ in range(2 * DEATHS_ALONE):
        assert not server.suspects.found(bad)
        server.dies_and_comes_back(bad)
    assert server.suspects.found(bad)


def test_a_server_that_dies_of_everything_is_held_against_few(server):
    found = []
    for number in range(10):
        asked = server.asked(Problem(f"q{number}", "?", "0"))
        for _ in range(2 * DEATHS_ALONE):
            if not server.suspects.found(asked):
                server.dies_and_comes_back(asked)
        found.append(bool(server.suspects.found(asked)))
        if not found[-1]:
            break
    assert found == [True] * FOUND_IN_A_ROW + [False]


def test_those_who_speak_to_one_address_share_its_suspects():
    assert shared_suspects("http://a") is shared_suspects("http://a")
    assert shared_suspects("http://a") is not shared_suspects("http://b")


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=12),
    st.sets(st.integers(0, 11), max_size=3),
    st.randoms(use_true_random=False),
)
def test_of_any_crowd_just_those_that_kill_are_found(numbers, killers, random):
    """Each problem has some requests; one of a killer's kills the server whenever it is sent."""
    problems = [Problem(f"p{n}", f"question {n}", "0") for n in range(len(numbers))]
    server = Server()
    suspects = server.suspects
    waiting = {
        (n, i): server.asked(problem)
        for n, problem in enumerate(problems)
        for i in range(numbers[n])
    }
    deadly = {(n, 0) for n in killers if n < len(problems)}
    deaths = 0
    while waiting:
        order = sorted(waiting)
        random.shuffle(order)
        sent = []
        for name in order:
            if suspects.found(waiting[name]):
                server.given_up(waiting.pop(name))
            elif suspects.begin(waiting[name]):
                sent.append(name)
        assert sent or not waiting, "somebody always has the turn"
        killing = [place for place, name in enumerate(sent) if name in deadly]
        answered = sent[: killing[0]] if killing else sent
        for name in answered:
            suspects.answered(waiting.pop(name))
            suspects.alive()
        if killing:
            deaths += 1
            for name in sent[killing[0] :]:
                suspects.broken_off(waiting[name], unread=False)
            suspects.died("killed")
            suspects.alive()
    found = {n for n, problem in enumerate(problems) if suspects.found(server.asked(problem))}
    assert found == {n for n, _ in deadly}
    assert deaths <= (DEATHS + 2 * DEATHS_ALONE) * len(found)


def test_what_a_task_asks_is_asked_for_its_problem_whatever_the_thread():
    server, seen = Server(), {}

    def ask(problem: Problem) -> None:
        with asking_for(problem):
            seen[problem.id] = server.asked(problem).problem

    threads = [threading.Thread(target=ask, args=(problem,)) for problem in (GOOD, BAD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {GOOD.id: GOOD, BAD.id: BAD}
