"""One directory, one box, one key a purpose."""

import stat
from pathlib import Path

import pytest

from gateway.data_folder import DataFolder
from gateway.errors import CannotStart


def test_the_folder_is_made_for_the_box_alone(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "var") as folder:
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_second_copy_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    with DataFolder(tmp_path), pytest.raises(CannotStart, match="Another copy"), DataFolder(tmp_path):
        pass
    with DataFolder(tmp_path) as again:
        assert again.path == tmp_path


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match="cannot be used"):
        DataFolder(tmp_path / "file" / "var").make()


def test_keys_stay_the_same_and_differ_by_purpose(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path).make()
    assert folder.key_for("a") == DataFolder(tmp_path).key_for("a")
    assert folder.key_for("a") != folder.key_for("b")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
