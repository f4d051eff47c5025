"""Three students and three exercises: all that feedback and reports can show."""

from dataclasses import replace
from datetime import datetime

from minibert.classroom.report import Named, Report, Stage, Verdict
from minibert.classroom.teaching.course import Assignment, Course
from minibert.classroom.teaching.grading import Graded, State
from tests.classroom.teaching.synthetic_results import WRONG, empty, failed, missing, right, unknown

AXES = Named("all *axes*", "bug", "You used all axes.", "The weights shrink.", "learners")
TANH = Named("tanh", "other convention", "You used tanh.", "", "")

COURSE = Course(
    "A *course* & more",
    "a secret of the tests",
    (Assignment("softmax", 5.0, datetime(1969, 12, 30, 12)), Assignment("gelu"), Assignment("layer_norm")),
)


def named(student: str, exercise: str, *mistakes: Named) -> Graded:
    report = Report(exercise, Verdict.WRONG, Stage.VALUES, "The numbers differ.", list(mistakes), credit=WRONG)
    return Graded(student, exercise, State.GRADED, report, modified=0.0)


RESULTS = {
    "ann": [right("ann", "softmax"), named("ann", "gelu", AXES, TANH), missing("ann", "layer_norm")],
    "bob": [named("bob", "softmax", AXES), unknown("bob", "gelu", 1.0, 2.0), failed("bob", "layer_norm")],
    "c<d": [
        empty("c<d", "softmax"),
        unknown("c<d", "gelu", 1.0, 2.0),
        replace(missing("c<d", "layer_norm"), state=State.FAILED, notes=["a note"]),
    ],
}
