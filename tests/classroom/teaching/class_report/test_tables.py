"""The cells and tables of a report: text is escaped."""

from minibert.classroom.teaching.class_report.tables import heading, number, table


def test_text_is_escaped_and_cells_are_html() -> None:
    assert heading("<b>", '"') == '<th scope="row" id="&quot;"><bdi>&lt;b&gt;</bdi></th>'
    assert heading("b") == '<th scope="row"><bdi>b</bdi></th>'
    assert number("<1") == '<td class="number">&lt;1</td>'
    assert table("<a>", ["<i>b</i>"], ["<td>c</td>", "<td>d</td>"], "heat") == (
        '<div class="scroll" role="region" tabindex="0" aria-label="&lt;a&gt;">\n'
        '<table class="heat">\n<caption>&lt;a&gt;</caption>\n<thead><tr><th scope="col"><i>b</i></th></tr></thead>\n'
        "<tbody>\n<tr><td>c</td></tr>\n<tr><td>d</td></tr>\n</tbody>\n</table>\n</div>"
    )
