"""`minibert --version`."""

import subprocess
import sys

import pytest

import minibert
from minibert.commands import main


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"minibert {minibert.__version__}\n"


def test_version_does_not_import_torch() -> None:
    code = "import sys; from minibert.commands import main; main(['--version']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
