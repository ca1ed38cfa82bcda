"""Three hundred cases of bad input, some of each kind; ``scripts/fuzz`` runs any number."""

from __future__ import annotations

from collections import Counter
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz import experiments, runner

FEWEST = 6
"""Cases of a kind."""


@pytest.mark.serial
def test_every_case_of_bad_input_is_one_line_or_a_correct_run():
    found = []

    def some(kind: str, count: int) -> None:
        @settings(
            max_examples=count,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(runner.cases((kind,)))
        def each(case):
            found.append((case, runner.judge(case)))

        each()

    quick = {"RUNNING": 1.0, "DRAWING": ()}  # pictures take long
    with mock.patch.multiple(runner, **quick):
        for kind, (count, _) in runner.KINDS.items():
            some(kind, max(3 * count, FEWEST))
    assert not [(case, outcome) for case, outcome in found if not outcome.is_fine]
    counts = Counter(outcome.verdict for _, outcome in found)
    assert len(found) >= 300
    assert counts["refused"] > len(found) // 3
    assert counts["ran"] > len(found) // 30


@pytest.mark.serial
@pytest.mark.parametrize("index", range(len(experiments.BASES)))
def test_the_experiments_that_cases_start_from_are_good(index):
    _, data, needs = experiments.BASES[index]
    content = {name: experiments.files.GOOD[name]() for name in needs}
    outcome = runner.run(experiments.Case("good", "check", data, content), seconds=60)
    assert outcome.verdict == "ran", outcome.message


@pytest.mark.serial
@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        (lambda: print("x\ny"), "noise"),
        (lambda: 1 / 0, "traceback"),
        (lambda: exec("while True: pass"), "slow"),
        (lambda: open("left", "w").close(), "left of/case/left"),
        (lambda: open("../../up", "w").close(), "left up"),
        (lambda: open("e.toml", "w").close(), "changed of/case/e.toml"),
        (lambda: open("advdiff_canary", "w").close(), "executed"),
    ],
)
def test_the_judge_sees_what_is_wrong(case, verdict):
    import sys

    def main():
        case()
        if verdict == "noise":
            print("a warning", file=sys.stderr)
        sys.exit(0)

    with mock.patch("advdiff.commands.cli.main", main):
        outcome = runner.run(experiments.Case("judge", "check", experiments.SMALL, {}), 0.5)
    assert outcome.verdict == verdict
