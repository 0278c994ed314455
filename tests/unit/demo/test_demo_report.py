"""Do a load's figures say what its samples say?"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.report import Report, Sample, percentile, table


def sample(backend: str, total_s: float, *, streamed: bool = True, error: str | None = None) -> Sample:
    return Sample(streamed, backend, 200, error, total_s / 2, total_s, 10)


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_percentile_is_a_value_with_enough_below_it(values: list[float], share: float) -> None:
    """Nearest rank: one of the values, with at least that share of them at or below it."""
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_rows_count_each_backend_and_all() -> None:
    """A row for each backend by name and one for all; failures have no part in the percentiles."""
    samples = [sample("b", 1.0), sample("a", 2.0), sample("b", 3.0), sample("b", 99.0, error="cut")]
    a, b, every = Report(tuple(samples), 10.0).rows()
    assert [a.backend, b.backend, every.backend] == ["a", "b", "all"]
    assert (b.requests, b.failed, b.tokens) == (3, 1, 30)
    assert b.total == (1.0, 3.0, 3.0)
    assert every.requests == 4
    assert every.first == (1.0, 1.5, 1.5)


def test_unstreamed_answers_have_no_first_token() -> None:
    """The first byte of a whole answer says nothing about the first token."""
    row = Report((sample("a", 1.0, streamed=False),), 1.0).rows()[0]
    assert row.first == (None, None, None)


def test_table_is_aligned() -> None:
    """Every line is as wide as every other, numbers to the right."""
    text = table([("name", "n"), ("a", "1"), ("longer name", "1234")])
    assert text.splitlines() == ["name            n", "a               1", "longer name  1234"]


def test_rendered_sums() -> None:
    """Under the table stand rate, statuses and kinds of errors."""
    samples = (sample("a", 1.0), Sample(streamed=False, error="timeout"))
    text = Report(samples, 2.0).render()
    assert "2 requests in 2.00 s: 1.0 requests/s, 5 tokens/s" in text
    assert "statuses: 1 × 200, 1 × none; errors: 1 × timeout" in text
    assert len({len(line) for line in text.splitlines()[:4]}) == 1


def test_empty_report_renders() -> None:
    """A load that was ended before its first answer still has a report."""
    assert "0 requests in 0.00 s" in Report((), 0.0).render()
