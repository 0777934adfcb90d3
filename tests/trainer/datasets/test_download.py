import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat

import pytest

from trainer.datasets import download
from trainer.datasets.catalogue import RemoteArchive
from trainer.datasets.download import DownloadFailed, WrongArchive, obtain_archive

CONTENT = bytes(range(256)) * 4000


class Server(ThreadingHTTPServer):
    """Serves one file; `plan` says how each answer goes wrong, in turn."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.plan = iter(())
        self.ranges = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/tutorial/pets.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        act = next(server.plan, "serve")
        start = int(asked[6:-1]) if asked and act != "whole" else 0
        if act.isdigit():
            self.send_error(int(act))
            return
        if start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            first = start + 1 if act == "shifted" else start
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if act == "truncate" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def archive(url):
    return RemoteArchive(url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_file_is_downloaded_and_kept(server, tmp_path):
    said = []
    path = obtain_archive(archive(server.url), tmp_path / "downloads", report=said.append)
    assert path == tmp_path / "downloads/pets.zip"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["pets.zip"]
    assert said[-1] == {"phase": "download", "done": len(CONTENT), "total": len(CONTENT)}
    assert obtain_archive(archive(server.url), tmp_path / "downloads") == path
    assert len(server.ranges) == 1


def test_the_mirror_comes_first_then_earlier_downloads(tmp_path):
    nowhere = archive("http://127.0.0.1:9/pets.zip")
    for folder in ("mirror", "downloads"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pets.zip").write_bytes(b"x")
    mirror, downloads = tmp_path / "mirror", tmp_path / "downloads"
    assert obtain_archive(nowhere, downloads, mirror=mirror) == mirror / "pets.zip"
    (mirror / "pets.zip").unlink()
    assert obtain_archive(nowhere, downloads, mirror=mirror) == downloads / "pets.zip"


def test_a_missing_mirror_folder_is_no_obstacle(server, tmp_path):
    path = obtain_archive(archive(server.url), tmp_path, mirror=tmp_path / "nowhere")
    assert path.read_bytes() == CONTENT


def test_a_transfer_that_breaks_off_goes_on_where_it_was(server, tmp_path):
    server.plan = iter(["truncate", "truncate"])
    path = obtain_archive(archive(server.url), tmp_path, pause_s=0)
    half = len(CONTENT) // 2
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]


def test_a_transfer_that_always_breaks_off_fails_and_the_next_call_goes_on(server, tmp_path):
    server.plan = chain(["truncate"] * download.TRIES, repeat("serve"))
    with pytest.raises(DownloadFailed) as caught:
        obtain_archive(archive(server.url), tmp_path, pause_s=0)
    assert "pets.zip could not be downloaded from" in caught.value.detail
    assert f"Put pets.zip into {tmp_path}" in caught.value.remedy
    assert "TUNEBOARD_DATASET_MIRROR" in caught.value.remedy
    assert names(tmp_path) == ["pets.zip.part"]
    have = (tmp_path / "pets.zip.part").stat().st_size
    assert obtain_archive(archive(server.url), tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] == f"bytes={have}-"


@pytest.mark.parametrize("act", ["whole", "shifted", "503", "429"])
def test_servers_that_cannot_go_on_are_asked_again(server, tmp_path, act):
    server.plan = iter(["truncate", act])
    assert obtain_archive(archive(server.url), tmp_path, pause_s=0).read_bytes() == CONTENT


def test_a_part_that_is_already_whole_is_used(server, tmp_path):
    (tmp_path / "pets.zip.part").write_bytes(CONTENT)
    assert obtain_archive(archive(server.url), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["pets.zip"]


@pytest.mark.parametrize("part", [b"something else", CONTENT + b"more", b""])
def test_a_part_of_something_else_is_started_over(server, tmp_path, part):
    (tmp_path / "pets.zip.part").write_bytes(part)
    assert obtain_archive(archive(server.url), tmp_path, pause_s=0).read_bytes() == CONTENT


def test_a_wrong_sum_is_refused_and_not_kept(server, tmp_path):
    server.content = b"somebody else's file"
    with pytest.raises(WrongArchive) as caught:
        obtain_archive(archive(server.url), tmp_path)
    assert hashlib.sha256(server.content).hexdigest() in caught.value.detail
    assert hashlib.sha256(CONTENT).hexdigest() in caught.value.detail
    assert "Put pets.zip into" in caught.value.remedy
    assert names(tmp_path) == []


def test_an_endless_file_is_refused(server, tmp_path):
    server.content = CONTENT * 3
    with pytest.raises(DownloadFailed, match="far larger"):
        obtain_archive(archive(server.url), tmp_path, pause_s=0)
    assert names(tmp_path) == []


def test_a_missing_file_is_not_asked_for_again(server, tmp_path):
    server.plan = repeat("404")
    with pytest.raises(DownloadFailed, match="the server answered 404"):
        obtain_archive(archive(server.url), tmp_path)
    assert len(server.ranges) == 1


def test_no_network_names_the_file_and_where_to_put_it(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/pets.zip"
    with pytest.raises(DownloadFailed) as caught:
        obtain_archive(archive(url), tmp_path / "downloads", pause_s=0)
    assert caught.value.detail.startswith(f"pets.zip could not be downloaded from {url}: ")
    assert f"Put pets.zip into {tmp_path}/downloads" in caught.value.remedy


def test_two_at_a_time_download_once(server, tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(obtain_archive(archive(server.url), tmp_path)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {path.read_bytes() == CONTENT for path in found} == {True}
    assert server.ranges == [None]
