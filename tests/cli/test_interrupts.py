"""Ctrl-C while results are being kept."""

from __future__ import annotations

import contextlib
import io
import signal
import threading
import time

import numpy as np
import pytest
import soundfile

from seaspeak.cli.interrupts import Interrupts


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def _raises_as_in_a_terminal():
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit SIG_IGN
    yield
    signal.signal(signal.SIGINT, usual)


def test_it_raises_at_once_between_results():
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt), interrupts.noticed():
        ctrl_c()
        pytest.fail("it did not raise")


def test_a_result_is_kept_whole_before_it_raises():
    interrupts, kept = Interrupts(), []
    with pytest.raises(KeyboardInterrupt), interrupts.noticed():
        with interrupts.put_off():
            kept.append("text")
            ctrl_c()
            kept.append("count")
        pytest.fail("it did not raise")
    assert kept == ["text", "count"]


def test_a_second_one_does_not_wait():
    interrupts, kept = Interrupts(), []
    with pytest.raises(KeyboardInterrupt), interrupts.noticed(), interrupts.put_off():
        ctrl_c()
        kept.append("first")
        ctrl_c()
        kept.append("second")
    assert kept == ["first"]


def test_one_that_a_library_swallowed_takes_effect_after_the_next_result():
    interrupts, kept = Interrupts(), []
    with pytest.raises(KeyboardInterrupt), interrupts.noticed():
        with contextlib.suppress(KeyboardInterrupt):
            ctrl_c()
        with interrupts.put_off():
            kept.append("result")
        pytest.fail("it did not raise")
    assert kept == ["result"]


def test_a_file_that_is_read_through_python_loses_neither_the_signal_nor_its_sound(capfd):
    class Interrupted(io.BytesIO):
        def readinto(self, buffer):
            if not sent:
                sent.append(True)
                ctrl_c()
            return super().readinto(buffer)

    sent, file, samples = [], Interrupted(), np.linspace(-1, 1, 16000).astype(np.float32)
    soundfile.write(file, samples, 16000, format="WAV", subtype="FLOAT")
    file.seek(0)
    read = []
    with pytest.raises(KeyboardInterrupt), Interrupts().noticed():
        read.append(soundfile.read(file, dtype="float32")[0])
        for _ in range(1000):
            time.sleep(0.01)
        pytest.fail("it did not raise")
    assert sent and "Traceback" not in capfd.readouterr().err
    np.testing.assert_array_equal(read[0], samples)


def test_the_usual_handler_is_back_afterwards():
    before = signal.getsignal(signal.SIGINT)
    interrupts = Interrupts()
    with interrupts.noticed():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_nothing_changes_where_the_signal_is_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts().noticed():
        ctrl_c()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_set_no_handlers():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with Interrupts().noticed():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
