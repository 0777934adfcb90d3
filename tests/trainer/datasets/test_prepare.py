import hashlib
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.datasets.pictures import photo, picture, two_classes, write_files, write_zip
from trainer.datasets import prepare as module
from trainer.datasets.archive import Limits
from trainer.datasets.catalogue import catalogue_entry
from trainer.datasets.download import WrongArchive
from trainer.datasets.folder import scan_folder
from trainer.datasets.manifest import load_manifest
from trainer.datasets.prepare import main, prepare
from trainer.errors import InvalidInput, TuneboardError

ROOT = Path(__file__).parents[3]


def program(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "trainer.datasets.prepare", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        **options,
    )


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_digits_are_prepared(tmp_path):
    manifest = prepare("catalogue", "digits", "digits", tmp_path / "1")
    assert load_manifest(tmp_path / "1/manifest.json") == manifest
    assert manifest.root == str(tmp_path / "1/images")
    assert manifest.summary()["splits"] == catalogue_entry("digits").splits == {"train": 1797}
    assert manifest.classes == tuple("0123456789")
    assert "may win" in manifest.note


def test_a_folder_is_read_where_it_is(tmp_path):
    source = write_files(tmp_path / "data/pets", two_classes("train/", "val/"))
    manifest = prepare("folder", str(source), "pets", tmp_path / "1", roots=[tmp_path / "data"])
    assert manifest.root == str(source)
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["manifest.json"]


def test_a_folder_outside_the_roots_is_refused_and_leaves_nothing(tmp_path):
    source = write_files(tmp_path / "pets", two_classes())
    with pytest.raises(InvalidInput, match="TUNEBOARD_DATA_ROOTS"):
        prepare("folder", str(source), "pets", tmp_path / "1", roots=[tmp_path / "data"])
    assert not (tmp_path / "1").exists()
    assert (source / "cats/0.png").exists()


def test_an_upload_is_unpacked_and_deleted(tmp_path):
    content = two_classes("pets/train/") | {"pets/train/cats/moving.gif": b"GIF89a"}
    upload = write_zip(tmp_path / "pets.zip", content | {"pets/train/dogs/cut.jpg": photo()[:400]})
    manifest = prepare("upload", str(upload), "pets", tmp_path / "1")
    assert not upload.exists()
    assert manifest.summary()["counts"] == {"train": [3, 3]}
    assert [s.file for s in manifest.skipped] == ["train/cats/moving.gif", "train/dogs/cut.jpg"]
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == ["images", "manifest.json"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"../evil.png": picture()}, "inside the archive's own folder"),
        ({"cats/1.txt": b""}, "an archive with images"),
        ({"cats/1.png": picture()}, "at least two classes"),
        (two_classes() | {"birds/": b""}, "at least one readable image; it has none"),
        (two_classes() | {"birds/1.txt": b""}, "at least one readable image"),
        (two_classes() | {"birds/1.png": b"text"}, "its only file was skipped (not an image"),
        (two_classes("train/") | {"val/cats/1.png": picture()}, "no folder for the class `dogs`"),
        (two_classes("train/", "val/") | {"val/birds/": b""}, "a class that `train` has too"),
    ],
)
def test_a_refused_upload_leaves_nothing_on_disk(tmp_path, files, says):
    upload = write_zip(tmp_path / "pets.zip", files)
    with pytest.raises(InvalidInput) as caught:
        prepare("upload", str(upload), "pets", tmp_path / "datasets/1")
    assert says in str(caught.value)
    assert {problem.field for problem in caught.value.errors} == {"file"}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "datasets/1").exists()


def test_the_limits_are_kept(tmp_path):
    upload = write_zip(tmp_path / "pets.zip", two_classes())
    with pytest.raises(InvalidInput, match="at most 5 files"):
        prepare("upload", str(upload), "pets", tmp_path / "1", limits=Limits(files=5))


def test_a_stopped_preparation_keeps_the_upload_and_can_be_repeated(tmp_path):
    def stop(_):
        raise SystemExit(1)

    upload = write_zip(tmp_path / "pets.zip", two_classes())
    with pytest.raises(SystemExit):
        prepare("upload", str(upload), "pets", tmp_path / "1", report=stop)
    assert not (tmp_path / "1").exists()
    assert prepare("upload", str(upload), "pets", tmp_path / "1").summary()["samples"] == 6


def test_what_a_killed_preparation_left_is_cleared_away(tmp_path):
    for name in ("1/images/cats/old.png", "1/.images-abc/cats/x.png", "1/manifest.json.7.part"):
        write_files(tmp_path, {name: b"x"})
    upload = write_zip(tmp_path / "pets.zip", two_classes())
    prepare("upload", str(upload), "pets", tmp_path / "1")
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == ["images", "manifest.json"]
    assert not (tmp_path / "1/images/cats/old.png").exists()


def test_an_upload_that_was_already_prepared_is_ready(tmp_path):
    upload = write_zip(tmp_path / "pets.zip", two_classes())
    first = prepare("upload", str(upload), "pets", tmp_path / "1")
    assert prepare("upload", str(upload), "pets", tmp_path / "1") == first


def test_an_upload_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(TuneboardError, match="Upload it again"):
        prepare("upload", str(tmp_path / "gone.zip"), "pets", tmp_path / "1")
    assert not (tmp_path / "1").exists()


@pytest.mark.parametrize(
    ("kind", "source", "field"),
    [("catalogue", "digit", "source"), ("ftp", "x", "kind")],
)
def test_an_unknown_kind_or_name_is_refused(tmp_path, kind, source, field):
    with pytest.raises(InvalidInput) as caught:
        prepare(kind, source, "pets", tmp_path / "1")
    assert caught.value.errors[0].field == field


class TestArchiveFromTheCatalogue:
    """With a small archive in the place of the published one, found in a mirror folder."""

    CONTENT = two_classes("pets_data/train/", "pets_data/val/")

    @pytest.fixture
    def published(self, tmp_path, monkeypatch):
        """Return a function that publishes an entry for the mirror's pets.zip."""
        mirror = tmp_path / "mirror"
        mirror.mkdir()
        path = write_zip(mirror / "hymenoptera_data.zip", self.CONTENT)
        entry = catalogue_entry("hymenoptera")
        assert entry.archive
        reference = scan_folder(
            write_files(tmp_path / "reference", self.CONTENT) / "pets_data", "pets"
        )

        def publish(**changes):
            archive = replace(
                entry.archive,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                images_fingerprint=reference.fingerprint,
            )
            changed = replace(
                entry,
                splits={"train": 6, "val": 6},
                archive=replace(archive, **changes),
            )
            monkeypatch.setattr(module, "catalogue_entry", lambda _: changed)

        return publish

    def prepare(self, tmp_path):
        return prepare(
            "catalogue", "hymenoptera", "pets", tmp_path / "datasets/1", mirror=tmp_path / "mirror"
        )

    def test_the_published_archive_is_taken_by_its_sum(self, tmp_path, published):
        published(images_fingerprint="0" * 64)
        manifest = self.prepare(tmp_path)
        assert manifest.summary()["splits"] == {"train": 6, "val": 6}
        assert manifest.note == catalogue_entry("hymenoptera").note
        assert (tmp_path / "mirror/hymenoptera_data.zip").exists()

    def test_a_repacked_copy_is_taken_by_its_images(self, tmp_path, published):
        published(sha256="0" * 64)
        assert self.prepare(tmp_path).summary()["samples"] == 12

    def test_another_archive_is_refused_with_both_sums(self, tmp_path, published):
        published()
        path = write_zip(
            tmp_path / "mirror/hymenoptera_data.zip",
            self.CONTENT | {"pets_data/train/cats/0.png": picture(999)},
        )
        with pytest.raises(WrongArchive) as caught:
            self.prepare(tmp_path)
        assert hashlib.sha256(path.read_bytes()).hexdigest() in caught.value.detail
        assert module.catalogue_entry("").archive.sha256 in caught.value.detail
        assert str(path) in caught.value.detail
        assert "download.pytorch.org" in caught.value.remedy
        assert not (tmp_path / "datasets/1").exists()
        assert path.exists()

    @pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>"])
    def test_what_is_no_archive_is_refused_with_both_sums(self, tmp_path, published, content):
        published()
        (tmp_path / "mirror/hymenoptera_data.zip").write_bytes(content)
        with pytest.raises(WrongArchive) as caught:
            self.prepare(tmp_path)
        assert hashlib.sha256(content).hexdigest() in caught.value.detail
        assert "a zip archive that can be read" in caught.value.detail

    def test_images_that_cannot_be_read_here_are_an_error(self, tmp_path, published, monkeypatch):
        published()
        real = module.scan_folder
        monkeypatch.setattr(
            module, "scan_folder", lambda *a, **k: replace(real(*a, **k), splits={"train": ()})
        )
        with pytest.raises(TuneboardError, match="instead of"):
            self.prepare(tmp_path)


class TestProgram:
    def arguments(self, tmp_path, source="data/pets"):
        return [
            *("--kind", "folder", "--source", str(tmp_path / source), "--name", "pets"),
            *("--into", str(tmp_path / "1"), "--roots", f"/nowhere:{tmp_path}/data"),
        ]

    @pytest.fixture(autouse=True)
    def _restore_sigterm(self):
        before = signal.getsignal(signal.SIGTERM)
        yield
        signal.signal(signal.SIGTERM, before)

    def test_its_last_line_is_the_summary(self, tmp_path):
        write_files(tmp_path / "data/pets", two_classes())
        process = program(*self.arguments(tmp_path))
        out, _ = process.communicate(timeout=60)
        *progress, last = [json.loads(line) for line in out.splitlines()]
        assert process.returncode == 0
        assert progress[-1] == {"phase": "scan", "done": 6, "total": 6}
        manifest = load_manifest(tmp_path / "1/manifest.json")
        assert last == {
            "ready": {"fingerprint": manifest.fingerprint, "summary": manifest.summary()}
        }

    def test_a_refusal_is_its_last_line(self, tmp_path, capsys):
        write_files(tmp_path / "data/pets", {"cats/1.png": picture()})
        assert main(self.arguments(tmp_path)) == 1
        failed = lines(capsys)[-1]["failed"]
        assert failed["title"] == "Invalid input"
        assert "at least two classes" in failed["detail"]
        assert failed["errors"][0]["field"] == "source"

    @pytest.mark.parametrize(
        ("error", "says"),
        [(OSError(28, "No space left on device"), "Make room"), (KeyError("x"), "try again")],
    )
    def test_anything_unexpected_is_a_failure_too(self, tmp_path, capsys, monkeypatch, error, says):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(module, "scan_folder", fail)
        write_files(tmp_path / "data/pets", two_classes())
        assert main(self.arguments(tmp_path)) == 1
        failed = lines(capsys)[-1]["failed"]
        assert failed["title"] == "The dataset could not be prepared"
        assert failed["detail"] == f"{type(error).__name__}: {error}"
        assert says in failed["remedy"]
        assert failed["errors"] == []
        assert not (tmp_path / "1").exists()

    def test_its_limits_come_from_the_command_line(self, tmp_path, capsys):
        upload = write_zip(tmp_path / "pets.zip", two_classes())
        arguments = ["--kind", "upload", "--source", upload, "--name", "pets"]
        arguments += ["--into", tmp_path / "1", "--unpacked-limit-bytes", 100]
        assert main([str(argument) for argument in arguments]) == 1
        assert "at most 100 bytes" in lines(capsys)[-1]["failed"]["detail"]
        assert not upload.exists()

    @pytest.mark.parametrize("how", ["SIGTERM", "nobody listens"])
    def test_stopping_it_leaves_nothing_but_the_upload(self, tmp_path, how):
        files = two_classes(each=200) | {"cats/big.png": picture(1, size=(4000, 4000))}
        upload = write_zip(tmp_path / "pets.zip", files)
        arguments = ["--kind", "upload", "--source", upload, "--name", "pets"]
        process = program(*arguments, "--into", tmp_path / "1")
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close() if how == "nobody listens" else process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 1
        assert process.stderr.read() == ""
        process.stderr.close()
        process.stdout.close()
        assert upload.exists()
        assert not (tmp_path / "1").exists()


def test_preparing_imports_nothing_heavy():
    code = (
        "import sys, trainer.datasets.prepare, trainer.datasets.splits;"
        "import trainer.datasets.thumbnails;"
        "print([n for n in ('torch', 'numpy', 'scipy', 'sklearn', 'httpx') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
