"""The examples in the docstrings of `advdiff.matexp` run, and where one is wanted there is one."""

import pytest

from tests import docstrings

pytestmark = pytest.mark.serial

WANTED = [
    "derivative",
    "gradient",
    "trace_gradient",
    "gram_trace_gradient",
    "group_inverse",
    "kernel_projector",
    "certificate",
]


@pytest.mark.parametrize("module", docstrings.modules("advdiff.matexp"))
def test_examples_run(module):
    docstrings.run(module)


@pytest.mark.parametrize("name", WANTED)
def test_there_is_an_example(name):
    assert docstrings.examples(f"advdiff.matexp.{name}") > 1


def test_a_wrong_example_fails(tmp_path, monkeypatch):
    (tmp_path / "wrong_example.py").write_text('"""Wrong.\n\n>>> 1 + 1\n3\n"""\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AssertionError, match=r"Expected:\s+3"):
        docstrings.run("wrong_example")
