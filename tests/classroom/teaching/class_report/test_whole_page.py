"""The whole text of a report, and the code of two of its tables."""

import base64
import hashlib
import re
from dataclasses import replace

import minibert
from minibert.classroom.teaching.class_report.page import class_report
from tests.classroom.teaching.small_class import COURSE, RESULTS
from tests.classroom.teaching.synthetic_results import failed

TEXT = """\
Report: A *course* &amp; more
Students 3
Exercises 3
Mean of the totals 2.8 of 25 points
Late 3 students
Hidden inputs 2 of each kind
Graded with minibert VERSION
Points
Color: the points, none half all .
The marks lead to the mistakes below: M for a known mistake, U for an unknown one, E for a function that does not run.
– means not submitted, ○ not started, ? not graded.
Points of each student
Student softmax gelu layer_ norm Total Late
ann 5 1 M1 M2 0 – not submitted 6 2 days
bob 0.5 M1 1 U1 0 E1 1.5 2 days
c&lt;d 0 ○ not started 1 U1 0 ? could not be graded 1 2 days
Mistakes
The mistakes that minibert recognized, the most common first.
A student can have several.
Students with each mistake
Mark Students Share of the class Mistake Exercise Names
M1 2 all *axes* You used all axes. The weights shrink. gelu (1) softmax (1) ann , bob
M2 1 tanh (other convention) You used tanh. gelu ann
Unknown mistakes
Wrong functions that match no known mistake.
Students in one group have the same wrong numbers.
The code is that of one of them.
Students with the same wrong numbers
Mark Students Share of the class Example Exercise Names
U1 2 The numbers differ. First difference: `scores`: 0.5, expected 0.25. Line 2 of one of them: return x * 1.1 gelu bob , c&lt;d
Functions that do not run
Errors, and functions that were stopped because they exceeded a limit.
Students with the same error
Mark Students Share of the class Example Exercise Names
E1 1 NameError: name &#x27;toch&#x27; is not defined Line 7 of one of them: return toch.exp(x) layer_ norm bob
Totals
The points of all exercises together, of 25.
Histogram of the totals
Points Students Histogram
0 to below 2.5 2
2.5 to below 5 0
5 to below 7.5 1
7.5 to below 10 0
10 to below 12.5 0
12.5 to below 15 0
15 to below 17.5 0
17.5 to below 20 0
20 to below 22.5 0
22.5 to 25 0
Exercises
Number of students with each result, and the mean of their points.
Results of each exercise
Exercise Points Deadline Mean Correct Not correct Not started Not submitted
softmax 5 1969-12-30 12:00 1.83 1 1 1 0
gelu 10 none 1.00 0 3 0 0
layer_norm 10 none 0.00 0 1 0 1
Notes for the teacher
What was left out, is missing, or needs a look.
Notes on each student
Student Notes
ann 2 days late (softmax) not submitted (layer_norm)
bob 2 days late (softmax)
c&lt;d 2 days late (softmax) could not be graded (layer_norm) a note (layer_norm)
"""
POINTS = """\
<tr><th scope="row"><bdi>ann</bdi>
</th><td class="number level5">5
</td><td class="number level1">1 <a href="#M1">M1</a> <a href="#M2">M2</a>
</td><td class="number level0">0 <span aria-hidden="true">–</span><span class="unseen">not submitted</span>
</td><td class="number level1"><b>6</b>
</td><td class="number">2 days
</td>
</tr>
<tr><th scope="row"><bdi>bob</bdi>
</th><td class="number level1">0.5 <a href="#M1">M1</a>
</td><td class="number level1">1 <a href="#U1">U1</a>
</td><td class="number level0">0 <a href="#E1">E1</a>
</td><td class="number level1"><b>1.5</b>
</td><td class="number">2 days
</td>
</tr>
<tr><th scope="row"><bdi>c&lt;d</bdi>
</th><td class="number level0">0 <span aria-hidden="true">○</span><span class="unseen">not started</span>
</td><td class="number level1">1 <a href="#U1">U1</a>
</td><td class="number level0">0 <span aria-hidden="true">?</span><span class="unseen">could not be graded</span>
</td><td class="number level1"><b>1</b>
</td><td class="number">2 days
</td>
</tr>
"""
MISTAKES = """\
<tr><th scope="row" id="M1"><bdi>M1</bdi>
</th><td class="number">2
</td><td class="bar"><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
<rect width="66.7" height="10"/></svg>
</td><td><b><bdi>all *axes*</bdi></b><p><bdi>You used all axes.</bdi></p><p><bdi>The weights shrink.</bdi></p>
</td><td>gelu (1)<br>softmax (1)
</td><td><p><bdi>ann</bdi>, <bdi>bob</bdi></p>
</td>
</tr>
<tr><th scope="row" id="M2"><bdi>M2</bdi>
</th><td class="number">1
</td><td class="bar"><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
<rect width="33.3" height="10"/></svg>
</td><td><b><bdi>tanh (other convention)</bdi></b><p><bdi>You used tanh.</bdi></p>
</td><td>gelu
</td><td><p><bdi>ann</bdi></p>
</td>
</tr>
"""


def text_of(page: str) -> str:
    """Return the text of a page, with a line for each sentence."""
    body = page[page.index("<main") :].replace("</div><div>", "\n").replace(". ", ".\n")
    lines = (" ".join(re.sub("<[^>]*>", " ", line).split()) for line in body.splitlines())
    return "\n".join(filter(None, lines)) + "\n"


def bodies(page: str) -> list[str]:
    """Return the rows of each table, with a line for each cell."""
    return [
        part.partition("</tbody>")[0].replace("</t", "\n</t").replace("<rect", "\n<rect")
        for part in page.split("<tbody>\n")[1:]
    ]


def test_the_text_of_a_report() -> None:
    page = class_report(COURSE, RESULTS)
    assert text_of(page).replace(minibert.__version__, "VERSION") == TEXT
    assert "<title>Report: A *course* &amp; more</title>" in page


def test_the_style_of_a_page_is_allowed_by_its_hash() -> None:
    page = class_report(COURSE, {})
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page


def test_of_an_error_without_a_line_only_the_reason_is_shown() -> None:
    result = failed("ann", "gelu", "It ran longer than 10 s.")
    for line, text in ((None, "return x"), (7, " ")):
        report = replace(result.report, line=line, line_text=text)
        page = class_report(replace(COURSE, assignments=COURSE.assignments[1:2]), {"ann": [replace(result, report=report)]})
        assert ("It ran longer than 10 s." in page, "of one of them:" in page) == (True, False)


def test_the_points_have_colors_and_links_to_the_mistakes() -> None:
    points, mistakes, unknown, *_ = bodies(class_report(COURSE, RESULTS))
    assert points == POINTS
    assert mistakes == MISTAKES
    assert "<pre><code>return x * 1.1</code></pre>" in unknown
