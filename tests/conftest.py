"""What all tests share: the fixture folder, and no network."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("seaspeak", deadline=None)  # a busy machine is no reason to fail
settings.load_profile("seaspeak")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with NeMo's numbers and the data; it lies beside a maintainer's checkout, not in a user's clone."""
    folder = Path(os.environ.get("SEASPEAK_SHARED", ROOT.parent / "shared"))
    if not (folder / "fixtures").is_dir():
        message = f"needs the maintainers' folder of NeMo fixtures and data, which is not at {folder}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections that leave this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family != socket.AF_UNIX and str(address[0]) not in {"127.0.0.1", "::1", "localhost"}:
            raise OSError(f"tests do not use the network: {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _fresh_caches(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep tests away from the user's model cache."""
    monkeypatch.setenv("SEASPEAK_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
