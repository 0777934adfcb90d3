from __future__ import annotations

import pytest

from trainer.cells import harmless


@pytest.mark.parametrize(
    "text", ["=1+2", "+a", "-cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1+2"]
)
def test_a_cell_that_would_be_a_formula_gets_an_apostrophe(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("value", ["a=b", "", "-0.5", "+3", "–", 4, -4.5, None, True])
def test_other_cells_stay_as_they_are(value: object) -> None:
    assert harmless(value) is value
