"""The command line's progress in a log: long work prints lines, short work prints none."""

import time

import pytest

from diffusion_studio.cli import progress as module


@pytest.mark.parametrize(("every", "told"), [(30.0, False), (0.01, True)])
def test_a_log_has_lines_only_of_what_takes_longer_than_the_pause(monkeypatch, capsys, every, told):
    monkeypatch.setattr(module, "EVERY", every)
    with module.progress(total=5, desc="reading") as bar:
        for _ in range(5):
            time.sleep(0.02)
            bar.update()
    said = capsys.readouterr().err
    assert ("5/5" in said and "reading" in said) if told else said == ""
