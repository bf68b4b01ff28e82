"""Runs the checks of scripts/lib/programs.lua and its table, which need no engine (test_programs.lua)."""

import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent


@pytest.mark.skipif(not shutil.which("luajit"), reason="the luajit program is not installed")
def test_programs():
    done = subprocess.run(["luajit", HERE / "test_programs.lua", HERE.parents[1] / "scripts"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
