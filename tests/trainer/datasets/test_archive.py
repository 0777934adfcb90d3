import errno
import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trainer.datasets.pictures import photo, picture, two_classes, write_zip
from trainer.datasets import archive as module
from trainer.datasets.archive import Limits, check_zip, unpack_zip
from trainer.datasets.manifest import Skipped
from trainer.errors import InvalidInput, TuneboardError


def entry(name, mode=0, system=3):
    info = zipfile.ZipInfo(name)
    info.create_system = system
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def zip_with(path, *extra):
    """Write an archive of two good classes and further (entry, content) pairs."""
    with zipfile.ZipFile(write_zip(path, two_classes()), "a") as archive:
        for info, content in extra:
            archive.writestr(info, content)
    return path


def refusal(path, limits=None, into=None, source=None):
    """Return why the archive is refused, after checking that nothing was left on disk."""
    into = into or path.parent / "into/images"
    with pytest.raises(InvalidInput) as caught:
        unpack_zip(path, into, limits or Limits(), source=source)
    assert not into.exists()
    assert not into.parent.exists() or list(into.parent.iterdir()) == []
    assert all(problem.field == "file" for problem in caught.value.errors)
    return caught.value


def unpacked(path, tmp_path):
    skipped = unpack_zip(path, tmp_path / "into/images", Limits())
    root = tmp_path / "into/images"
    assert [p.name for p in root.parent.iterdir()] == ["images"]
    files = {str(p.relative_to(root)): p for p in root.rglob("*")}
    return files, skipped


@pytest.mark.parametrize("top", ["", "pets/", "my data/pets/"])
def test_images_are_unpacked_below_a_common_top_folder(tmp_path, top):
    content = two_classes()
    files, skipped = unpacked(
        write_zip(tmp_path / "a.zip", {top + name: data for name, data in content.items()}),
        tmp_path,
    )
    assert {n for n, p in files.items() if p.is_file()} == set(content)
    assert all(files[name].read_bytes() == data for name, data in content.items())
    assert skipped == ()


def test_a_split_or_a_single_class_is_no_common_top_folder(tmp_path):
    files, _ = unpacked(write_zip(tmp_path / "a.zip", two_classes("train/")), tmp_path)
    assert "train/cats/0.png" in files


def test_a_single_class_keeps_its_folder(tmp_path):
    files, _ = unpacked(write_zip(tmp_path / "a.zip", {"cats/1.png": picture()}), tmp_path)
    assert set(files) == {"cats", "cats/1.png"}


def test_only_images_are_unpacked_and_the_others_named(tmp_path):
    content = {f"pets/{name}": data for name, data in two_classes().items()} | {
        "pets/cats/moving.gif": b"GIF89a",
        "pets/cats/run.sh": b"#!/bin/sh",
        "pets/README.md": b"hello",
        "README.md": b"hello",
        "__MACOSX/pets/cats/._0.png": b"x",
        "pets/.DS_Store": b"x",
        "pets/cats/Thumbs.db": b"x",
        "pets/.git/x.png": b"x",
    }
    files, skipped = unpacked(write_zip(tmp_path / "a.zip", content), tmp_path)
    assert {n for n, p in files.items() if p.is_file()} == set(two_classes())
    assert [s.file for s in skipped] == ["cats/moving.gif", "cats/run.sh"]
    assert all(isinstance(s, Skipped) and "its name ends in none of" in s.reason for s in skipped)


def test_a_class_without_images_is_still_to_be_seen(tmp_path):
    content = {"pets/" + n: d for n, d in two_classes().items()}
    content |= {"pets/birds/": b"", "pets/fish/readme.txt": b"none yet"}
    files, _ = unpacked(write_zip(tmp_path / "a.zip", content), tmp_path)
    assert files["birds"].is_dir()
    assert files["fish"].is_dir()


def test_the_separators_of_old_windows_programs_are_understood(tmp_path):
    content = {n.replace("/", "\\"): d for n, d in two_classes("pets/").items()}
    content["pets\\birds\\"] = b""
    files, _ = unpacked(write_zip(tmp_path / "a.zip", content), tmp_path)
    assert set(two_classes()) | {"cats", "dogs", "birds"} == set(files)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../evil.png", "inside the archive's own folder"),
        ("cats/../../evil.png", "inside the archive's own folder"),
        ("cats\\..\\..\\evil.png", "inside the archive's own folder"),
        ("cats/..", "inside the archive's own folder"),
        ("/etc/evil.png", "it is absolute"),
        ("\\\\server\\share\\evil.png", "it is absolute"),
        ("C:/evil.png", "a drive letter"),
        ("c:\\evil.png", "a drive letter"),
        ("c:evil.png", "a drive letter"),
        ("../notes.txt", "inside the archive's own folder"),
        ("__MACOSX/../../evil.png", "inside the archive's own folder"),
    ],
)
def test_paths_that_lead_out_are_refused(tmp_path, name, says):
    error = refusal(zip_with(tmp_path / "a.zip", (entry(name), picture())))
    assert says in str(error)
    assert error.errors[0].value == name
    assert not (tmp_path / "evil.png").exists()


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        (stat.S_IFLNK | 0o777, "symbolic link"),
        (stat.S_IFIFO | 0o600, "a device, pipe or socket"),
        (stat.S_IFCHR | 0o600, "a device, pipe or socket"),
    ],
)
@pytest.mark.parametrize("system", [0, 3])
def test_links_and_devices_are_refused(tmp_path, mode, says, system):
    path = zip_with(tmp_path / "a.zip", (entry("cats/x.png", mode, system), b"/etc/passwd"))
    error = refusal(path)
    assert says in str(error)
    assert error.errors[0].value == "cats/x.png"


def test_up_to_ten_entries_are_named(tmp_path):
    extra = [(entry(f"../{index}.png"), b"x") for index in range(30)]
    assert len(refusal(zip_with(tmp_path / "a.zip", *extra)).errors) == 10


def test_more_files_than_the_limit_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", two_classes(each=6))
    error = refusal(path, Limits(files=11))
    assert "at most 11 files; it has 12" in str(error)
    assert "TUNEBOARD_UPLOAD_FILES_LIMIT" in str(error)
    assert len(check_zip(path, Limits(files=12)).images) == 12


def test_a_list_of_contents_too_long_to_read_is_refused_unread(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", {f"cats/{i:0100d}.png": b"" for i in range(600)})
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert "at most 2 files; it has 600" in str(refusal(path, Limits(files=2)))


def test_an_archive_larger_than_the_limit_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", two_classes())
    error = refusal(path, Limits(archive_bytes=100))
    assert "an archive of at most 100 bytes" in str(error)
    assert "TUNEBOARD_UPLOAD_LIMIT_BYTES" in str(error)


def test_more_bytes_than_the_limit_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", two_classes())
    error = refusal(path, Limits(unpacked_bytes=200))
    assert "at most 200 bytes" in str(error)
    assert "TUNEBOARD_UNPACKED_LIMIT_BYTES" in str(error)


def test_a_bomb_is_refused(tmp_path):
    path = zip_with(tmp_path / "a.zip", (entry("cats/zeros.bmp"), bytes(70 * 1024**2)))
    error = refusal(path)
    assert "at most 100 times its size" in str(error)


def test_sizes_that_lie_are_found_out_while_unpacking(tmp_path):
    path = zip_with(tmp_path / "a.zip", (entry("cats/zeros.bmp"), bytes(300_000)))
    content = path.read_bytes()
    for size in (100, 200_000):  # the size is stated before the entry and in the list of contents
        lie = content.replace(struct.pack("<I", 300_000), struct.pack("<I", size))
        path.write_bytes(lie)
        assert "a zip archive that can be read" in str(refusal(path))


def test_the_bytes_that_come_out_are_counted(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", two_classes())
    monkeypatch.setattr(module, "_check_amounts", lambda *_: None)
    assert "it has more" in str(refusal(path, Limits(unpacked_bytes=200)))


def test_overlapping_files_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"cats/1.bmp": os.urandom(50_000), "dogs/1.bmp": b"x"})
    content = bytearray(path.read_bytes())
    first = content.index(b"PK\1\2")
    second = content.index(b"PK\1\2", first + 1)
    content[second + 16 : second + 28] = content[first + 16 : first + 28]  # sum and both sizes
    content[second + 42 : second + 46] = content[first + 42 : first + 46]  # place
    path.write_bytes(bytes(content))
    assert "overlap" in str(refusal(path))


def test_encrypted_files_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", two_classes())
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(bytes(content))
    assert "without a password" in str(refusal(path))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_rare_compressions_are_refused(tmp_path, method):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in two_classes().items():
            archive.writestr(name, content)
    assert "stored or deflated" in str(refusal(path))


@pytest.mark.parametrize("files", [{}, {"cats/readme.txt": b"x", "dogs/moving.gif": b"GIF89a"}])
def test_an_archive_without_images_is_refused(tmp_path, files):
    error = refusal(write_zip(tmp_path / "a.zip", files), source="pets.zip")
    assert "an archive with images (.jpg" in str(error)
    assert error.errors[0].value == "pets.zip"


def test_a_file_that_is_there_twice_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zip_with(tmp_path / "a.zip", (entry("cats/0.png"), picture(5)))
    assert "`cats/0.png` is in it 2 times" in str(refusal(path))


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all" * 100, b"PK\5\6" + bytes(10)])
def test_what_is_no_zip_is_refused(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    assert "a zip archive that can be read" in str(refusal(tmp_path / "a.zip"))


def test_a_damaged_archive_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"cats/1.jpg": photo(), "dogs/1.jpg": photo()})
    content = bytearray(path.read_bytes())
    for cut in (len(content) - 30, 500):
        path.write_bytes(bytes(content[:cut]))
        assert "a zip archive that can be read" in str(refusal(path))
    content[200:300] = bytes(100)
    path.write_bytes(bytes(content))
    assert "a zip archive that can be read" in str(refusal(path))


def test_names_this_disk_cannot_hold_are_refused(tmp_path):
    path = zip_with(tmp_path / "a.zip", (entry(f"cats/{'x' * 300}.png"), picture()))
    assert "names fit this disk" in str(refusal(path))
    path = write_zip(tmp_path / "b.zip", two_classes() | {"cats/0.png/1.png": picture()})
    assert "names fit this disk" in str(refusal(path))


def test_a_full_disk_is_not_the_archives_fault(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", two_classes())
    real_open = Path.open

    def full(self, mode="r", **options):
        if mode == "xb":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_open(self, mode, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(TuneboardError, match="Make room") as caught:
        unpack_zip(path, tmp_path / "into/images", Limits())
    assert not isinstance(caught.value, InvalidInput)
    assert list((tmp_path / "into").iterdir()) == []


def test_stopping_in_between_leaves_nothing(tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    path = write_zip(tmp_path / "a.zip", two_classes())
    with pytest.raises(KeyboardInterrupt):
        unpack_zip(path, tmp_path / "into/images", Limits(), report=stop)
    assert list((tmp_path / "into").iterdir()) == []


def test_progress_counts_images(tmp_path):
    said = []
    path = write_zip(tmp_path / "a.zip", two_classes())
    unpack_zip(path, tmp_path / "into/images", Limits(), report=said.append)
    assert said[-1] == {"phase": "unpack", "done": 6, "total": 6}


GOOD = io.BytesIO()
with zipfile.ZipFile(GOOD, "w", zipfile.ZIP_DEFLATED) as _archive:
    for _name, _content in two_classes().items():
        _archive.writestr(_name, _content)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(GOOD.getvalue()) - 1), st.integers(0, 255)),
        min_size=1,
        max_size=6,
    ),
    end=st.integers(1, len(GOOD.getvalue())),
    cut=st.booleans(),
)
def test_damage_of_any_kind_is_refused_or_harmless(tmp_path_factory, changes, end, cut):
    """Whatever bytes change: no other exception, and nothing outside the folder."""
    folder = tmp_path_factory.mktemp("fuzz")
    content = bytearray(GOOD.getvalue())
    for place, value in changes:
        content[place] = value
    (folder / "a.zip").write_bytes(bytes(content[:end] if cut else content))
    try:
        unpack_zip(folder / "a.zip", folder / "into/images", Limits())
    except InvalidInput:
        assert not (folder / "into").exists() or list((folder / "into").iterdir()) == []
    assert {path.name for path in folder.iterdir()} <= {"a.zip", "into"}


SEGMENTS = st.sampled_from(["..", ".", "", "cats", "C:", "a\\b", "x.png", "~", "\\", "é", " "])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(SEGMENTS, min_size=1, max_size=5), min_size=1, max_size=4))
def test_no_name_writes_outside_the_folder(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    files = {"/".join(name) + ".png": picture(i) for i, name in enumerate(names)}
    write_zip(folder / "a.zip", files)
    try:
        unpack_zip(folder / "a.zip", folder / "into/images", Limits())
    except InvalidInput:
        assert list(folder.glob("into/*")) == []
    assert {path.name for path in folder.iterdir()} <= {"a.zip", "into"}
    assert {path.name for path in folder.glob("into/*")} <= {"images"}
