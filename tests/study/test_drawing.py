"""Files of figures, and text in figures."""

import warnings
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minibert.study import drawing
from minibert.study.drawing import as_text, figure, figure_format, save

SPECIAL = ["$x_1$", "a^{2}", "50%", "\\frac{a}{b}", "_", "<b>&'\"", "[MASK]"]


def with_labels(axes: Axes) -> None:
    labels, properties = as_text(SPECIAL)
    axes.set_xticks(range(len(labels)), labels, **properties)


class TestFiles:
    @pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.PDF", b"%PDF")])
    def test_the_extension_is_the_format_and_equal_figures_are_equal_files(
        self, name: str, start: bytes, tmp_path: Path
    ) -> None:
        save(figure(with_labels), tmp_path / name)
        content = (tmp_path / name).read_bytes()
        assert content.startswith(start)
        save(figure(with_labels), tmp_path / name)
        assert (tmp_path / name).read_bytes() == content

    @pytest.mark.parametrize("name", ["a.jpg", "a", "a.svg.gz", ".png", "png"])
    def test_other_extensions_are_refused(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"must end with \.png, \.svg or \.pdf"):
            figure_format(Path(name))
        with pytest.raises(ValueError, match="must end with"):
            save(figure(with_labels), tmp_path / name)
        assert not [*tmp_path.iterdir()]

    def test_text_in_svg_is_text(self, tmp_path: Path) -> None:
        save(figure(with_labels), tmp_path / "a.svg")
        content = (tmp_path / "a.svg").read_text(encoding="utf-8")
        for label in SPECIAL:
            assert label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in content
        assert "<dc:date>" not in content


class TestAsText:
    def test_special_characters_are_shown_as_they_are_in_any_figure(self) -> None:
        """In a user's figure too, where text between dollar signs is a formula."""
        axes = Figure().add_subplot()
        with_labels(axes)
        axes.figure.draw_without_rendering()
        assert [label.get_text() for label in axes.get_xticklabels()] == SPECIAL
        assert not any(label.get_parse_math() for label in axes.get_xticklabels())

    def test_characters_without_a_font_become_code_points_with_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(drawing, "_candidates", lambda: iter([(drawing.FONT, drawing._file(drawing.FONT))]))
        drawing._fonts_for.cache_clear()
        with pytest.warns(UserWarning, match=r"no installed font has 机 \(U\+673A\), 🙂 \(U\+1F642\): .* Install a font"):
            labels, properties = as_text(["机", "a🙂", "b"])
        drawing._fonts_for.cache_clear()
        assert labels == ["U+673A", "aU+1F642", "b"]
        assert properties["fontfamily"] == [drawing.FONT]

    def test_an_installed_font_is_used_for_its_characters(self, monkeypatch: pytest.MonkeyPatch) -> None:
        files = {"Latin": "latin.ttf", "Chinese": "chinese.ttf"}
        monkeypatch.setattr(drawing, "_candidates", lambda: iter(files.items()))
        monkeypatch.setattr(drawing, "_has", lambda file, char: (ord(char) > 1000) == (file == "chinese.ttf"))
        drawing._fonts_for.cache_clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            labels, properties = as_text(["机", "a"])
        drawing._fonts_for.cache_clear()
        assert (labels, properties["fontfamily"]) == (["机", "a"], ["Latin", "Chinese"])

    def test_no_font_that_draws_boxes_is_a_candidate(self) -> None:
        """matplotlib has a font with a box for every code point."""
        assert not [name for name, file in drawing._candidates() if drawing._has(file, "\U0010fffd")]

    def test_control_characters_are_escaped_and_long_texts_are_cut_off(self) -> None:
        assert as_text(["a\x1b[2J\n\u202e", "x" * 30], max_length=16)[0] == ["a\\u001b[2J\\u000…", "x" * 15 + "…"]
