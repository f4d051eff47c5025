"""`minibert bench`."""

import json

import pytest
import torch

from minibert.commands import main
from minibert.kernels import choose_attention
from minibert.study import attention_speed
from minibert.study.attention_speed import AttentionTimes

SMALL = ["bench", "--tokens", "64", "--rounds", "2", "--device", "cpu"]


@pytest.fixture(autouse=True)
def few_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_speed, "LENGTHS", (4, 200))
    monkeypatch.setattr("minibert.timing.matrix_product_peak.__defaults__", ("cpu", 16, 2))


def test_the_table_has_every_way_and_the_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SMALL) == 0
    printed = capsys.readouterr().out
    assert "This machine: CPU, 1 threads, torch" in printed
    rows = [line.split() for line in printed.splitlines() if line.strip().startswith(("float32 ", "bfloat16 "))]
    assert len(rows) == 12
    assert [row[-1] for row in rows if row[1] == "inference"] == ["fused"] * 4
    assert [row[-1] for row in rows if row[2] == "dropout"] == ["unfused"] * 4
    assert [row[-1] for row in rows if row[:2] == ["bfloat16", "training"]] == ["unfused", "fused"]
    assert '"auto" picks the fastest way in ' in printed
    assert "unfused: on a CPU, the fused kernels have no dropout" in printed


def test_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["torch"] == torch.__version__
    assert all(peak > 0 for peak in found["matrix products, GFLOP/s"].values())
    for row in found["attention"]:
        assert row["seconds"].keys() == {"fused", "unfused", "explicit"}
        assert row["loss"] == row["seconds"][row["chosen"]] / min(row["seconds"].values())
        assert row["reason"].startswith(row["chosen"])


def test_the_choice_is_that_of_auto() -> None:
    (first, *_) = attention_speed.measure_attention(torch.device("cpu"), tokens=8, rounds=1)
    assert (first.chosen, first.reason) == ("fused", choose_attention("auto")[1])


def test_the_fastest_way_and_the_loss_of_the_choice() -> None:
    times = AttentionTimes("float32", "inference", 4, {"fused": 3.0, "unfused": 2.0}, "fused", "")
    assert (times.fastest, times.loss) == ("unfused", 1.5)


def test_cuda_without_a_gpu_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["bench", "--device", "cuda"]) == 2
    assert "there is no CUDA device here" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["--tokens", "--rounds"])
def test_numbers_below_one_are_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", name, "0"]) == 2
    assert f"{name} 0: must be at least 1" in capsys.readouterr().err
