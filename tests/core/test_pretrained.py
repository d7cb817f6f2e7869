"""Published models are found by name, fetched once, and never half there."""

from __future__ import annotations

import hashlib
import http.server
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from seaspeak.core import Model, pretrained
from seaspeak.core.download import download
from seaspeak.core.errors import DownloadError, StorageError, UnknownNameError
from tests.tiny import TinyModel, tiny_config

CONTENT = bytes(range(256)) * 8192  # 2 MiB
WHOLE, BREAKS = "/whole.nemo", "/breaks.nemo"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; knows ranges; under some paths it behaves badly."""

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        content, start = server.content, 0
        if self.path == "/missing.nemo":
            self.send_error(404)
            return
        if self.path == "/busy.nemo" and len(server.requests) < 3:
            self.send_error(503)
            return
        wanted = self.headers.get("Range")
        if wanted and self.headers.get("If-Range") == server.tag and self.path != "/no-ranges.nemo":
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", server.tag)
        self.end_headers()
        breaks = self.path == BREAKS and len(server.requests) < 4
        self.wfile.write(content[start : start + 500_000] if breaks else content[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.requests, served.content, served.tag = [], CONTENT, '"one"'
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{served.server_port}"
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SEASPEAK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("NEMO_CACHE_DIR", raising=False)
    monkeypatch.delenv("SEASPEAK_OFFLINE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "cache"


def test_a_file_is_fetched_once_and_leaves_nothing_else_behind(server, tmp_path):
    target = tmp_path / "deep" / "model.nemo"
    seen = []
    assert download(server.url + WHOLE, target, progress=lambda done, total: seen.append((done, total))) == target
    assert target.read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    download(server.url + WHOLE, target)
    assert len(server.requests) == 1
    assert {path.name for path in target.parent.iterdir()} <= {"model.nemo", "model.nemo.lock"}


def test_a_download_that_breaks_off_goes_on_where_it_stopped(server, tmp_path):
    target = tmp_path / "model.nemo"
    download(server.url + BREAKS, target, wait=0)
    assert target.read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == [None, "bytes=500000-", "bytes=1000000-", "bytes=1500000-"]


def test_a_later_call_goes_on_where_an_earlier_one_was_interrupted(server, tmp_path):
    target = tmp_path / "model.nemo"

    def interrupt(done, total):
        if done > 600_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(server.url + WHOLE, target, progress=interrupt)
    assert not target.exists()
    have = (tmp_path / "model.nemo.part").stat().st_size
    assert 0 < have < len(CONTENT)
    download(server.url + WHOLE, target, sha256=hashlib.sha256(CONTENT).hexdigest())
    assert server.requests[1] == (WHOLE, f"bytes={have}-")


def test_what_came_of_another_version_is_not_continued(server, tmp_path):
    target = tmp_path / "model.nemo"
    with pytest.raises(KeyboardInterrupt):
        download(
            server.url + WHOLE, target, progress=lambda done, total: done and (_ for _ in ()).throw(KeyboardInterrupt)
        )
    server.content, server.tag = CONTENT[::-1], '"two"'
    download(server.url + WHOLE, target)
    assert target.read_bytes() == CONTENT[::-1]


def test_a_part_that_is_complete_already_is_taken(server, tmp_path):
    target = tmp_path / "model.nemo"
    with pytest.raises(DownloadError):
        download(server.url + WHOLE, target, size=1)  # leaves nothing
    assert not (tmp_path / "model.nemo.part").exists()
    (tmp_path / "model.nemo.part").write_bytes(CONTENT)
    (tmp_path / "model.nemo.part.json").write_text(f'{{"url": "{server.url}{WHOLE}", "tag": "\\"one\\""}}')
    download(server.url + WHOLE, target)
    assert target.read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, tmp_path):
    target = tmp_path / "model.nemo"
    (tmp_path / "model.nemo.part").write_bytes(CONTENT + b"more")
    (tmp_path / "model.nemo.part.json").write_text(f'{{"url": "{server.url}{WHOLE}", "tag": "\\"one\\""}}')
    download(server.url + WHOLE, target, wait=0)
    assert target.read_bytes() == CONTENT


def test_servers_that_know_no_ranges_send_everything_again(server, tmp_path):
    target = tmp_path / "model.nemo"
    (tmp_path / "model.nemo.part").write_bytes(CONTENT[:1000])
    (tmp_path / "model.nemo.part.json").write_text(f'{{"url": "{server.url}/no-ranges.nemo", "tag": "\\"one\\""}}')
    download(server.url + "/no-ranges.nemo", target)
    assert target.read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server, tmp_path):
    download(server.url + "/busy.nemo", tmp_path / "model.nemo", wait=0)
    assert len(server.requests) == 3


def test_a_file_that_is_not_there_is_asked_for_once(server, tmp_path):
    with pytest.raises(DownloadError, match="the server answers 404"):
        download(server.url + "/missing.nemo", tmp_path / "model.nemo")
    assert len(server.requests) == 1


def test_a_server_that_is_not_there(tmp_path):
    with pytest.raises(DownloadError, match="cannot be fetched"):
        download("http://127.0.0.1:9/model.nemo", tmp_path / "model.nemo", wait=0)


@pytest.mark.parametrize("expected", [{"sha256": "0" * 64}, {"size": 17}])
def test_what_is_not_the_expected_file_is_refused_and_removed(server, tmp_path, expected):
    target = tmp_path / "model.nemo"
    with pytest.raises(DownloadError, match="not the file that was expected"):
        download(server.url + WHOLE, target, **expected)
    assert not target.exists()
    assert not (tmp_path / "model.nemo.part").exists()


def test_a_folder_that_cannot_be_written():
    with pytest.raises(StorageError, match="SEASPEAK_CACHE_DIR"):
        download("http://127.0.0.1:9/model.nemo", Path("/proc/none/model.nemo"))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(server, tmp_path, monkeypatch, capsys, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    download(server.url + WHOLE, tmp_path / "model.nemo")
    assert ("model.nemo" in capsys.readouterr().err) is terminal


def fetch_in_a_process(url: str, target: Path) -> None:
    download(url, target)
    os._exit(0 if target.read_bytes() == CONTENT else 1)


def test_two_processes_that_want_the_same_file_fetch_it_once(server, tmp_path):
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    both = [
        context.Process(target=fetch_in_a_process, args=(server.url + WHOLE, tmp_path / "m.nemo")) for _ in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(server.requests) == 1


# --- catalogue ------------------------------------------------------------------------------------------------------


def test_the_catalogue_has_every_name_once():
    names = [entry.name for entry in pretrained.catalogue()]
    assert len(names) == len(set(names)) > 260
    assert pretrained.find("stt_en_quartznet15x5").class_name == "EncDecCTCModel"
    assert pretrained.find("Tacotron2-22050Hz").name in ("Tacotron2-22050Hz", "tts_en_tacotron2")


def test_every_entry_says_what_it_is_and_where():
    for entry in pretrained.catalogue():
        assert entry.class_name and entry.collection in {"asr", "nlp", "tts", "multimodal"}
        assert not entry.url or entry.url.startswith("https://")
        assert "/" not in entry.name


def test_an_unknown_name_comes_with_the_nearest():
    with pytest.raises(UnknownNameError, match="stt_en_quartznet15x5'"):
        pretrained.find("stt_en_quarznet15x5")
    with pytest.raises(UnknownNameError, match="seaspeak models"):
        Model.from_pretrained("zzzzzzzz")


def entry_at(url: str, name: str = "tiny_model", **fields) -> pretrained.Entry:
    return pretrained.Entry(name=name, class_name="TinyModel", collection="asr", url=url, **fields)


def test_from_pretrained_fetches_and_then_uses_the_cache(server, cache, tmp_path, monkeypatch):
    TinyModel(tiny_config()).save_to(tmp_path / "served.nemo")
    server.content = (tmp_path / "served.nemo").read_bytes()
    monkeypatch.setattr(pretrained, "catalogue", lambda: (entry_at(server.url + WHOLE, aliases=("small",)),))
    assert isinstance(TinyModel.from_pretrained("tiny_model"), TinyModel)
    monkeypatch.setenv("SEASPEAK_OFFLINE", "1")
    assert isinstance(Model.from_pretrained("small"), TinyModel)
    assert len(server.requests) == 1
    assert [info.pretrained_model_name for info in TinyModel.list_available_models()] == ["tiny_model"]
    monkeypatch.delenv("SEASPEAK_OFFLINE")
    TinyModel.from_pretrained("tiny_model", refresh_cache=True)
    assert len(server.requests) == 2


def test_the_catalogue_knows_a_recipe_that_an_archive_does_not(cache, tmp_path, monkeypatch):
    cache.mkdir()
    from omegaconf import OmegaConf

    from seaspeak.core.archive import write

    config = OmegaConf.create(tiny_config(target="tests.tiny.TinyModel"))
    write(cache / "tiny_model.nemo", config, TinyModel(tiny_config()).state_dict())
    monkeypatch.setattr(pretrained, "catalogue", lambda: (entry_at("", recipe="0.11"),))
    assert TinyModel.from_pretrained("tiny_model").recipe == "0.11"
    assert TinyModel.restore_from(cache / "tiny_model.nemo").recipe == "1.0"


def test_offline_says_which_file_to_put_where(cache, monkeypatch):
    monkeypatch.setenv("SEASPEAK_OFFLINE", "1")
    with pytest.raises(DownloadError) as caught:
        Model.from_pretrained("stt_en_quartznet15x5")
    text = str(caught.value)
    assert pretrained.find("stt_en_quartznet15x5").url in text
    assert str(cache / "stt_en_quartznet15x5.nemo") in text
    assert "\n" not in text, "one sentence"


def test_without_a_network_it_says_so_too(cache):
    with pytest.raises(DownloadError, match="put it here as"):
        pretrained.fetch(entry_at("http://127.0.0.1:9/x.nemo"))


def test_models_that_were_never_one_file(cache):
    with pytest.raises(DownloadError, match="talknet_durs"):
        pretrained.fetch(pretrained.find("tts_en_talknet"))
    with pytest.raises(DownloadError, match="model hub"):
        pretrained.fetch(pretrained.find("diar_sortformer_4spk-v1"))
    with pytest.raises(DownloadError, match="no address"):
        pretrained.fetch(entry_at(""))


@pytest.mark.parametrize(
    "place",
    [
        "cache/stt_en_quartznet15x5.nemo",
        "cache/{file}",
        ".cache/torch/NeMo/NeMo_1.20.0/{stem}/0123abcd/{file}",
        "nemo/{stem}/0123abcd/{file}",
    ],
)
def test_a_cached_file_is_found_under_our_name_and_where_nemo_puts_it(cache, tmp_path, monkeypatch, place):
    monkeypatch.setenv("NEMO_CACHE_DIR", str(tmp_path / "nemo"))
    monkeypatch.setenv("SEASPEAK_OFFLINE", "1")
    entry = pretrained.find("stt_en_quartznet15x5")
    file = entry.url.rsplit("/", 1)[1]
    path = tmp_path / place.format(file=file, stem=file.removesuffix(".nemo"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert pretrained.fetch(entry) == path


@pytest.mark.parametrize(
    ("variables", "platform", "expected"),
    [
        ({"SEASPEAK_CACHE_DIR": "/a", "NEMO_CACHE_DIR": "/b"}, "linux", "/a"),
        ({"NEMO_CACHE_DIR": "/b"}, "linux", "/b"),
        ({"XDG_CACHE_HOME": "/x"}, "linux", "/x/seaspeak"),
        ({"HOME": "/h"}, "linux", "/h/.cache/seaspeak"),
        ({"HOME": "/h"}, "darwin", "/h/Library/Caches/seaspeak"),
        ({"LOCALAPPDATA": "/l"}, "win32", "/l/seaspeak/Cache"),
    ],
)
def test_the_cache_folder(monkeypatch, variables, platform, expected):
    for name in ("SEASPEAK_CACHE_DIR", "NEMO_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    assert pretrained.cache_dir() == Path(expected)


@pytest.mark.parametrize(
    ("value", "offline"), [("", False), ("0", False), ("false", False), ("1", True), ("yes", True)]
)
def test_the_offline_switch(monkeypatch, value, offline):
    monkeypatch.setenv("SEASPEAK_OFFLINE", value)
    assert pretrained.is_offline() is offline


def test_descriptions_of_models_compare_as_nemos_do():
    one = pretrained.PretrainedModelInfo("a", "", "x")
    assert one == pretrained.PretrainedModelInfo("b", "", "x") == pretrained.PretrainedModelInfo("b", "", "y")
    assert one != pretrained.PretrainedModelInfo("b", "", "y")
    assert one < pretrained.PretrainedModelInfo("b", "", "x")
    assert hash(one) == hash("x")
    assert one != "a"
