"""Answers to ten questions -> Fitzpatrick skin type I to VI. Asked on the terminal by `python -m training.data.fitzpatrick`.

The questionnaire is that of the Australian Radiation Protection and Nuclear Safety Agency (ARPANSA, "Fitzpatrick skin
phototype"), in our words: each answer gives 0 to 4 points, their sum the type. After T. B. Fitzpatrick (1988), The validity and
practicality of sun-reactive skin types I through VI, Arch. Dermatol. 124, 869-871. It tells how skin answers to the sun, not
its colour; it is a self-report, no finding of a doctor. See docs/fitzpatrick.md.
"""

from __future__ import annotations

import argparse
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training import command
from training.command import BadInput
from training.data.pictures import FITZPATRICK

MOST_POINTS = 4  # of one answer
FIRST_POINTS = (0, 7, 14, 21, 28, 35)  # fewest points of each type, I to VI
DESCRIPTIONS = (
    "always burns, never tans",
    "burns easily, tans a little",
    "burns sometimes, tans slowly",
    "burns seldom, tans well",
    "burns very seldom, tans deeply",
    "never burns",
)


@dataclass(frozen=True)
class Question:
    """One question with its five answers, worth 0, 1, 2, 3 and 4 points."""

    part: str
    text: str
    answers: tuple[str, str, str, str, str]


QUESTIONS = (
    Question(
        "traits",
        "What colour are your eyes?",
        (
            "light blue, light grey or light green",
            "blue, grey or green",
            "hazel or light brown",
            "dark brown",
            "black-brown",
        ),
    ),
    Question(
        "traits",
        "What was your natural hair colour before any grey?",
        ("red or light blond", "blond", "dark blond or chestnut", "dark brown", "black"),
    ),
    Question(
        "traits",
        "What colour is your skin where the sun does not reach?",
        ("pink", "very pale", "light brown or olive", "brown", "dark brown"),
    ),
    Question(
        "traits",
        "How many freckles do you have where the sun does not reach?",
        ("many", "several", "few", "very few", "none"),
    ),
    Question(
        "sun",
        "What happens when you stay in the sun for long?",
        (
            "severe burns, blisters, peeling",
            "moderate burns, blisters, peeling",
            "burns now and then, with peeling after",
            "burns seldom",
            "never burns",
        ),
    ),
    Question("sun", "Do you turn brown after being in the sun?", ("never", "seldom", "sometimes", "often", "always")),
    Question(
        "sun",
        "How brown do you turn?",
        ("hardly or not at all", "light tan", "medium tan", "dark tan", "very dark tan"),
    ),
    Question(
        "sun",
        "How sensitive is your face to the sun?",
        ("very sensitive", "sensitive", "a little sensitive", "resistant", "very resistant"),
    ),
    Question("habits", "How often do you seek a tan?", ("never", "seldom", "sometimes", "often", "always")),
    Question(
        "habits",
        "When was your skin last in the sun, or under a sunbed?",
        ("more than 3 months ago", "2 to 3 months ago", "1 to 2 months ago", "in the last week", "in the last day"),
    ),
)


def type_of(answers: Sequence[int]) -> str:
    """``"I"`` to ``"VI"`` of the points, 0 to 4, of the answers to `QUESTIONS`, in order.

    Raises:
        ValueError: there are not ten, or one is not 0 to 4.
    """
    if len(answers) != len(QUESTIONS):
        raise ValueError(f"expected the answers to all {len(QUESTIONS)} questions, found {len(answers)}")
    for number, points in enumerate(answers, 1):
        if isinstance(points, bool) or points not in range(MOST_POINTS + 1):
            raise ValueError(f"answer {number} must be 0 to {MOST_POINTS} points, not {points!r}")
    return FITZPATRICK[bisect_right(FIRST_POINTS, sum(answers)) - 1]


def asked(question: Question, number: int, reply: Callable[[str], str] = input) -> int:
    """Points of the answer that is typed; asks again until it is one."""
    print(f"\n{number}. {question.text}")
    for points, answer in enumerate(question.answers):
        print(f"   {points}  {answer}")
    while True:
        typed = reply(f"   0 to {MOST_POINTS}: ").strip()
        if typed.isdecimal() and int(typed) <= MOST_POINTS:
            return int(typed)
        print(f"   please type a number from 0 to {MOST_POINTS}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    try:
        answers = [asked(question, number) for number, question in enumerate(QUESTIONS, 1)]
    except EOFError as error:
        print()
        raise BadInput("the answers ended too soon; answer all ten questions") from error
    name = type_of(answers)
    print(f"\n{sum(answers)} points: type {name} ({DESCRIPTIONS[FITZPATRICK.index(name)]}), as you say of yourself")


if __name__ == "__main__":
    command.run(main)
