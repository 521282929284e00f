"""Which layer a study takes when folds do not agree."""

import pytest

from empathy_geometry.foundation.layers import most_chosen


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([3, 8, 8, 8, 1], 8),
        ([12, 2, 7], 7),  # all equal: the middle one, not the shallowest
        ([9, 9, 2, 2, 30, 30, 1], 9),
        (["embed", 4, 2], 2),  # the embedding comes before block 0
        (["embed", "embed", 5], "embed"),
    ],
)
def test_the_layer_of_most_folds_and_the_middle_one_of_equals(chosen, expected):
    assert most_chosen(chosen) == expected
    assert most_chosen(list(reversed(chosen))) == expected
