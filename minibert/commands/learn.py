"""`minibert learn`: a folder with exercises, and a check of each file that is saved."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from tyro.conf import Positional, arg

from minibert.commands import keys
from minibert.commands.errors import Stopped, check_new_folder
from minibert.commands.exercises import DEFAULT_FOLDER, SHOWN, checked, current_exercise, progress_of
from minibert.commands.learning_progress import exercise_list, summary
from minibert.commands.report_view import show_report
from minibert.commands.terminal import report, say, say_code, say_parts, screen_size, styled
from minibert.files import describe
from minibert.printable import printable

if TYPE_CHECKING:
    from minibert.classroom.exercise import Exercise
    from minibert.classroom.folder import ExerciseFolder
    from minibert.classroom.report import Report

KEYS = {
    "n": ("next", "the next exercise that is not passed"),
    "h": ("hint", "the next hint: questions, then the place, then the line with a blank"),
    "s": ("solution", "the solution, if you have passed the exercise"),
    "l": ("list", "all exercises, and which are passed"),
    "?": ("keys", "this list"),
    "q": ("quit", "the end; `minibert learn` goes on later"),
}
"""Name and effect of each key."""
HELP = "Saving a file checks it. Its exercise is the current one, for the keys h and s."
SIGNS = "✓ passed   ✗ not passed   ○ not begun"


@dataclass(frozen=True)
class Learn:
    """Write the functions of BERT yourself: make a folder with exercises, watch it, and check every file that you save.

    Files that exist are not changed. Without a terminal, the files that you have begun are checked once.
    """

    folder: Annotated[Positional[Path], arg(metavar="[FOLDER]")] = DEFAULT_FOLDER
    """Folder for the exercises."""
    plain: bool = False
    """Plain text without colors and columns, for screen readers. It is the default if the output is not a terminal."""


def run(options: Learn) -> int:
    """Write the files, and check them until q is pressed."""
    from minibert.classroom.folder import ExerciseFolder

    check_new_folder(options.folder)
    try:
        folder = ExerciseFolder(options.folder)
        created = folder.install()
        say(printable(f"{options.folder}: {len(folder.files())} exercises, {len(created)} of them new"))
        session = Session(folder, options.plain)
        if not keys.are_available():
            return session.check_all()
        session.watch()
    except Stopped as stopped:
        say("")
        return stopped.exit_code
    return 0


@dataclass
class Session:
    """The exercise that the learner is at, and what the keys do."""

    folder: "ExerciseFolder"
    plain: bool
    current: "Exercise" = field(init=False)
    reports: dict[str, "Report"] = field(default_factory=dict)
    """The last report of each exercise."""

    def __post_init__(self) -> None:
        self.current = current_exercise(self.folder)

    def check_all(self) -> int:
        """Check all files that were begun, once."""
        from minibert.classroom.exercises import EXERCISES

        for name in self.folder.files():
            if self.folder.is_started(name):
                self.check(EXERCISES[name])
        self.list()
        return 0

    def watch(self) -> None:
        """Check files when they are saved, and obey keys, until q is pressed."""
        from minibert.classroom.exercises import EXERCISES
        from minibert.classroom.watching import Watcher

        actions: dict[str, Callable[[], None]] = {
            "n": self.next,
            "h": self.hint,
            "s": self.solution,
            "l": self.list,
            "?": self.help,
        }
        watcher = Watcher(self.folder.files)
        with closing(keys.keys()) as pressed:
            next(pressed, "")  # signals are stored from here on, so that Ctrl-C ends the command without a message
            self.introduce()
            self.remind()
            for key in pressed:
                if key == "q":
                    return
                saved = watcher.saved()
                if key in actions:
                    actions[key]()
                for name in saved:
                    self.check(EXERCISES[name])
                if saved or key in actions:
                    self.remind()

    def introduce(self) -> None:
        """Print which exercise is next, and its file."""
        from minibert.classroom.stubs import purpose

        say_parts(["", styled(self.current.name, "bold"), purpose(self.current)])
        say(printable(f"Write it in {self.folder.file(self.current.name)}"), "")

    def check(self, exercise: "Exercise") -> None:
        """Check the file of an exercise, which becomes the current one."""
        self.current = exercise
        say("", styled(f"checking {exercise.name} …", "dim"))
        try:
            self.reports[exercise.name] = checked(self.folder, exercise, self.folder.file(exercise.name))
        except OSError as error:  # an unreadable file, which the learner can mend
            report(describe(error))
        else:
            show_report(self.reports[exercise.name], self.plain)

    def next(self) -> None:
        """Go to the next exercise that is not passed, after the current one if there is one."""
        from minibert.classroom.exercises import EXERCISES

        names = list(EXERCISES)
        place = names.index(self.current.name) + 1
        with progress_of(self.folder) as progress:
            left = [name for name in [*names[place:], *names[:place]] if not progress[name].passed]
        if not left:
            say("", "You have passed all exercises.")
            return
        self.current = EXERCISES[left[0]]
        if self.current.name not in self.folder.files():  # deleted by the learner
            self.folder.reset(self.current.name)
        self.introduce()

    def hint(self) -> None:
        """Print the next hint, and count it. The hint in the last report counts, too."""
        from minibert.classroom.hints import next_hint

        last = self.reports.get(self.current.name)
        with progress_of(self.folder) as progress:
            entry = progress.entry(self.current.name)
            if last and last.hint == str(next_hint(self.current, entry.hints, last)):
                entry.hints += 1
            hint = next_hint(self.current, entry.hints, last)
            entry.hints += 1
        say_parts(["", f"{self.current.name}, {hint.level}: {hint}", ""])

    def solution(self) -> None:
        """Print the solution, if the exercise is passed or the solution was revealed."""
        from minibert.classroom.solution import solution

        with progress_of(self.folder) as progress:
            entry = progress[self.current.name]
        last = self.reports.get(self.current.name)  # the progress may not be saved
        say("")
        if entry.passed or entry.revealed or (last and last.passed):
            say(SHOWN, "")
            say_code(solution(self.current))
        else:
            say(f"{self.current.name} is not passed yet. `minibert reveal {self.current.name}` shows the solution now.", "")

    def list(self) -> None:
        """Print all exercises, and which are passed."""
        with progress_of(self.folder) as progress:
            say_parts(["", *exercise_list(progress, self.current.name, screen_size()[0]), f"{summary(progress)}   {SIGNS}"])

    def help(self) -> None:
        """Print what the keys do."""
        table = Table.grid(padding=(0, 2))
        for key, (_, effect) in KEYS.items():
            table.add_row(styled(f"  {key}"), effect)
        say_parts(["", HELP, table, ""])

    def remind(self) -> None:
        """Print the names of the keys."""
        say_parts([styled(key_line(), "dim")])


def key_line() -> str:
    """Return the keys in one line."""
    return "   ".join(["save to check", *(f"{key} {name}" for key, (name, _) in KEYS.items())])
