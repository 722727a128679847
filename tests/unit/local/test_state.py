"""What a world leaves on disk, and that it takes all of it away, and nothing else."""

from pathlib import Path

import pytest

from strata.local.down import run_down
from strata.local.state import Home, WorldRecord


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def record_in(folder: Path, home: Home, *, temporary: bool = True) -> WorldRecord:
    folder.mkdir(parents=True)
    (folder / "kubeconfig").write_text("here")
    return WorldRecord(
        pid=1,
        api="http://127.0.0.1:1",
        metrics="http://127.0.0.1:1/metrics",
        simulator="http://127.0.0.1:2",
        etcd="http://127.0.0.1:3",
        kubeconfig=str(folder / "kubeconfig"),
        data_dir=str(folder),
        logs=str(folder / "logs"),
        temporary=temporary,
        link=str(home.kubeconfig),
    )


def everything_under(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_a_temporary_world_leaves_no_file_behind(home: Home, tmp_path: Path) -> None:
    record = record_in(tmp_path / "world", home)
    with home.hold():
        home.write(record)
        home.point_kubeconfig_at(Path(record.kubeconfig))
        assert home.kubeconfig.read_text() == "here"
        home.clear_away(record)
    assert everything_under(tmp_path) == set()
    assert not home.state.exists()


def test_data_that_was_asked_to_stay_stays_without_its_kubeconfig(home: Home, tmp_path: Path) -> None:
    record = record_in(tmp_path / "data", home, temporary=False)
    (tmp_path / "data" / "member").write_text("etcd's")
    home.clear_away(record)
    assert everything_under(tmp_path) == {"data/member"}


def test_somebodys_own_kubeconfig_is_neither_replaced_nor_removed(home: Home, tmp_path: Path) -> None:
    home.kubeconfig.parent.mkdir(parents=True)
    home.kubeconfig.write_text("mine")
    record = record_in(tmp_path / "world", home)
    assert home.point_kubeconfig_at(Path(record.kubeconfig)) is None
    home.clear_away(record)
    assert home.kubeconfig.read_text() == "mine"


def test_a_link_that_points_elsewhere_is_left_alone(home: Home, tmp_path: Path) -> None:
    home.kubeconfig.parent.mkdir(parents=True)
    home.kubeconfig.symlink_to(tmp_path / "other")
    home.clear_away(record_in(tmp_path / "world", home))
    assert home.kubeconfig.is_symlink()


def test_what_a_killed_world_left_is_cleared_by_the_next(home: Home, tmp_path: Path) -> None:
    record = record_in(tmp_path / "world", home)
    with home.hold():
        home.write(record)
        home.point_kubeconfig_at(Path(record.kubeconfig))
    with home.hold() as alone:
        assert alone
        home.clear_leftovers()
    assert everything_under(tmp_path) == set()


def test_only_one_can_hold_a_home_and_others_see_that_it_is_held(home: Home) -> None:
    assert not home.is_up()
    with home.hold() as first, home.hold() as second:
        assert (first, second) == (True, False)
        assert home.is_up()
    assert not home.is_up()


def test_a_record_reads_back_as_it_was_written_and_a_torn_one_as_none(home: Home, tmp_path: Path) -> None:
    record = record_in(tmp_path / "world", home)
    with home.hold():
        home.write(record)
        assert home.read() == record
        home.record.write_text('{"pid": 1')
        assert home.read() is None


def test_the_logs_of_a_world_whose_part_died_survive_it_and_are_told_once(home: Home, tmp_path: Path) -> None:
    record = record_in(tmp_path / "world", home)
    for words in ("first", "second"):
        Path(record.logs).mkdir(parents=True)
        Path(record.logs, "etcd.log").write_text(words)
        with home.hold():
            death = home.keep_logs(record, "etcd was killed by SIGKILL")
            home.clear_away(record)
        assert Path(death.logs, "etcd.log").read_text() == words
        assert not Path(record.data_dir).exists()
    told = run_down(home)
    assert told.startswith(
        f"the last world ended by itself: etcd was killed by SIGKILL; its logs are in {death.logs}\n"
    )
    assert run_down(home) == "nothing is up"


def test_the_logs_of_data_that_stays_stay_where_they_are(home: Home, tmp_path: Path) -> None:
    record = record_in(tmp_path / "data", home, temporary=False)
    Path(record.logs).mkdir()
    with home.hold():
        assert home.keep_logs(record, "it died").logs == record.logs
        home.clear_away(record)
    assert Path(record.logs).exists()
