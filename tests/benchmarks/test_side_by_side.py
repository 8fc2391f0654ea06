"""Comparisons of a benchmark: seconds, sizes and differences."""

import json

import pytest
from side_by_side import Comparison, Effort, Peer, compare, run

EFFORT = Effort(rounds=4, seconds=0.001, long_rounds=3)


def test_a_value_is_compared_by_its_ratio_in_its_unit():
    ours, theirs = iter([20.0, 10.0, 30.0]), iter([40.0, 40.0, 20.0])
    peer = Peer(theirs.__next__, at_most=0.6)
    (row,) = compare(Comparison("size", ours.__next__, {"bare": peer}, repeat=False, unit="MB"), EFFORT)
    assert (row.name, row.ours, row.peer, row.ratio, row.rounds) == ("size: bare", 20.0, 40.0, 0.5, 3)
    assert row.quartiles == (0.375, 1.0)  # of 0.5, 0.25, 1.5
    assert str(row).split()[-8:-3] == ["20.00", "MB", "40.00", "MB", "0.500"]
    assert str(row).endswith("<= 0.60")


def test_a_comparison_by_difference_shows_the_loss():
    peers = {"whole": Peer(lambda: 99.0, at_most=0.3)}
    comparison = Comparison("accuracy", lambda: 98.75, peers, unit="%", by="difference", rounds=1)
    (row,) = compare(comparison, EFFORT)
    assert (row.ratio, row.quartiles, row.rounds) == (0.25, (0.25, 0.25), 1)


def test_time_is_measured_if_there_is_no_unit():
    taken = []
    sides = {name: (lambda name=name: taken.append(name)) for name in ("ours", "peer")}
    (row,) = compare(Comparison("append", sides["ours"], {"peer": Peer(sides["peer"])}), EFFORT)
    assert row.unit == "s"
    assert row.rounds == 4
    assert 0 < row.ours < 0.01
    turns = [name for name, before in zip(taken, [None, *taken], strict=False) if name != before]
    assert turns == ["ours", "peer", "ours", "peer", "ours", "peer", "ours"]  # a warm-up of both, then ABBA


def test_a_record_holds_the_measurements(tmp_path, capsys):
    peers = {"bare": Peer(lambda: 4.0)}
    comparisons = (Comparison(name, lambda: 2.0, peers, unit="KB") for name in ("one", "two"))
    rows = run(comparisons, EFFORT, {"cores": 2}, tmp_path / "record.json")
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["environment"] == {"cores": 2}
    assert [row["name"] for row in record["rows"]] == ["one: bare", "two: bare"]
    assert {row["ratio"] for row in record["rows"]} == {0.5}
    assert {row["unit"] for row in record["rows"]} == {"KB"}
    assert [str(row) for row in rows] == capsys.readouterr().out.splitlines()[2:]


@pytest.mark.parametrize(("seconds", "shown"), [(2.5, "2.5 s"), (0.0125, "12.50 ms"), (4.2e-5, "42.0 us")])
def test_times_are_shown_in_a_unit_of_their_magnitude(seconds, shown):
    (row,) = compare(Comparison("x", lambda: seconds, {"y": Peer(lambda: 1.0)}, unit="s"), EFFORT)
    assert shown in str(row)
