"""A file that is named with its digest is read as it was written, or not at all."""

from pathlib import Path

import pytest

from m2kt.checked_files import map_checked, read_checked
from m2kt.digest import content_digest_of, digest_of
from m2kt.errors import NotFoundError, StoreError

READERS = [(read_checked, digest_of), (map_checked, content_digest_of)]


@pytest.mark.parametrize(("read", "named"), READERS)
@pytest.mark.parametrize("content", [b"", b"some bytes"])
def test_what_was_written_is_read(tmp_path: Path, read, named, content):
    file = tmp_path / "file"
    file.write_bytes(content)
    assert read(file, named(content)) == content


@pytest.mark.parametrize(("read", "named"), READERS)
def test_other_bytes_are_refused(tmp_path: Path, read, named):
    file = tmp_path / "file"
    file.write_bytes(b"some bytes")
    with pytest.raises(StoreError, match="altered or damaged"):
        read(file, named(b"some bytez"))


@pytest.mark.parametrize(("read", "named"), READERS)
def test_a_missing_file_is_told_from_one_that_cannot_be_read(tmp_path: Path, read, named):
    with pytest.raises(NotFoundError):
        read(tmp_path / "none", named(b""))
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=r"read .*folder"):
        read(tmp_path / "folder", named(b""))


def test_what_was_mapped_outlives_the_name_of_its_file(tmp_path: Path):
    file = tmp_path / "file"
    file.write_bytes(b"some bytes")
    view = map_checked(file, content_digest_of(b"some bytes"))
    file.unlink()
    assert view == b"some bytes"
