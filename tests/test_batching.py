"""Order of work: every text once, prefixes common to their texts, batches within their budget."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from empathy_geometry.activations.batching import Work, batches, blocks, by_length, cut_into_shards, shared_prefixes
from empathy_geometry.activations.token_table import TokenTable


def _table(texts: list[tuple[list[int], list[int]]]) -> TokenTable:
    """A table of (prompt ids, response ids); equal prompts have equal keys."""
    rows = [np.array(prompt + response, dtype=np.int32) for prompt, response in texts]
    keys = {tuple(p): i for i, (p, _) in enumerate(texts)}
    spans = np.array([[len(p), len(p) + len(r), -1, -1] for p, r in texts], dtype=np.int32)
    return TokenTable(
        np.concatenate(rows),
        np.concatenate([[0], np.cumsum([len(r) for r in rows])]),
        spans,
        np.array([keys[tuple(p)] for p, _ in texts], dtype=np.int32),
        "",
    )


tables = st.lists(
    st.tuples(st.lists(st.integers(0, 2), max_size=4), st.lists(st.integers(0, 9), min_size=1, max_size=6)),
    min_size=1,
    max_size=25,
).map(_table)


@given(table=tables, mode=st.sampled_from([True, False, "auto"]), size=st.integers(1, 9))
def test_every_text_is_run_once_and_begins_with_its_prefix(table: TokenTable, mode: bool, size: int) -> None:
    groups = shared_prefixes(table, mode)  # type: ignore[arg-type]
    shards = cut_into_shards(table, groups, size)
    assert sorted(int(r) for shard in shards for work in shard for r in work.rows) == list(range(len(table)))
    for shard in shards:
        assert 1 <= sum(len(work.rows) for work in shard) <= size
        for work in shard:
            assert len({tuple(table.row_ids(int(r))[: work.prefix]) for r in work.rows}) == 1
            assert all(work.prefix < table.lengths[r] for r in work.rows)
            if mode is False:
                assert work.prefix == 0


def test_sharing_is_chosen_where_it_saves() -> None:
    table = _table([([1, 1, 1, 1], [2]), ([1, 1, 1, 1], [3]), ([5], [6] * 50), ([5], [7] * 50), ([8, 9], [4])])
    work = shared_prefixes(table, "auto")
    assert [(w.prefix, w.rows.tolist()) for w in work] == [(4, [0, 1]), (0, [2, 3, 4])]
    assert [w.prefix for w in shared_prefixes(table, False)] == [0]


def test_a_prompt_is_cut_to_what_all_its_texts_have_in_common() -> None:
    table = _table([([1, 2, 3, 4], [9]), ([1, 2, 3, 4], [8])])
    spans = table.spans.copy()
    spans[1, 0] = 3  # in this text the prompt's last token went into the response
    table = TokenTable(table.ids, table.offsets, spans, table.keys, "")
    assert [w.prefix for w in shared_prefixes(table, True)] == [3]


def test_a_group_stays_in_one_shard_where_it_fits() -> None:
    table = _table([([1, 1, 1], [i]) for i in range(3)] + [([2, 2, 2], [i]) for i in range(3)])
    shards = cut_into_shards(table, shared_prefixes(table, True), 4)
    assert [[w.rows.tolist() for w in shard] for shard in shards] == [[[0, 1, 2]], [[3, 4, 5]]]
    small = cut_into_shards(table, shared_prefixes(table, True), 2)
    assert [[w.rows.tolist() for w in shard] for shard in small] == [[[0, 1]], [[2], [3]], [[4, 5]]]


@given(
    widths=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    size=st.one_of(st.just("auto"), st.integers(1, 9)),
    tokens=st.integers(1, 200),
)
def test_batches_keep_their_budget(widths: list[int], size: int, tokens: int) -> None:
    ordered = np.sort(np.array(widths))[::-1]
    parts = list(batches(ordered, size, tokens))  # type: ignore[arg-type]
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(len(widths)))
    for part in parts:
        n = part.stop - part.start
        assert n == 1 or (n <= size if size != "auto" else n * ordered[part.start] <= tokens)


def test_blocks_hold_prefixes_of_a_budget() -> None:
    groups = [Work(np.array([i]), prefix) for i, prefix in enumerate([5, 4, 4, 3])]
    assert [len(block) for block in blocks(groups, prefixes=10, tokens=10)] == [2, 2]
    assert [len(block) for block in blocks(groups, prefixes=1, tokens=10)] == [1, 1, 1, 1]
    assert [len(block) for block in blocks(groups, prefixes=10, tokens=1)] == [1, 1, 1, 1]


def test_longest_first() -> None:
    table = _table([([], [1]), ([], [1, 2, 3]), ([], [1, 2])])
    assert by_length(table, np.arange(3)).tolist() == [1, 2, 0]
