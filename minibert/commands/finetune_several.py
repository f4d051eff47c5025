"""`minibert finetune --seeds` and `--learning-curve`: several runs of one task, and their scores."""

import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.commands.errors import UsageError
from minibert.commands.terminal import say, say_table
from minibert.commands.training import create_folder, join_processes, run_quietly
from minibert.files import write_atomically
from minibert.printable import printable
from minibert.training.options import OPTIONS_FILE, OutputOptions, options_to_json

if TYPE_CHECKING:
    from minibert.commands.finetune import Finetune
    from minibert.study.learning_curve import RunScores, Scores, Variation
    from minibert.training.distributed import Processes
    from minibert.training.finetuning import FineTuning

SEEDS_FILE, CURVE_FILE, CURVE_FIGURE = "seeds.json", "learning-curve.json", "learning-curve.png"


def run_several(options: "Finetune", prepare: "Callable[[Path, bool], FineTuning[Any]]") -> int:
    """Run the task with every seed, or with every number of rows from both starts. Write and print the scores.

    Args:
        prepare: see `Job`.
    """
    from minibert.study import learning_curve
    from minibert.study.drawing import figure, save
    from minibert.training.records import SETTINGS_FILE

    if (options.out / SETTINGS_FILE).is_file():
        raise UsageError(f"{options.out} holds a single run: choose another --out")
    processes = join_processes(options, options.hardware)
    try:
        task = prepare(options.out, True)
    except (ValueError, OSError) as error:
        raise UsageError(error) from error
    if not task.validation_rows:
        raise UsageError("--seeds and --learning-curve compare scores on validation data: give some")
    if options.learning_curve is None:
        variations = learning_curve.seed_variations(options.training.seed, options.seeds)
    else:
        try:
            sizes = learning_curve.parse_sizes(options.learning_curve, len(task.train_rows))
        except ValueError as error:
            raise UsageError(f"--learning-curve {options.learning_curve}: {error}") from error
        variations = learning_curve.curve_variations(sizes, options.training.seed, options.seeds)
    if processes.is_main:
        say(f"  {task.data_summary}")
        write_atomically(options.out / OPTIONS_FILE, json.dumps({"options": options_to_json(options)}, indent=2) + "\n")
    scores = _run_all(options, task, variations, processes)
    if processes.is_main:
        results, out = learning_curve.RunScores.create(task, scores), options.out
        file = out / (SEEDS_FILE if options.learning_curve is None else CURVE_FILE)
        write_atomically(file, json.dumps(results.to_json(), indent=2) + "\n")
        if options.learning_curve is None:
            _show_seeds(results, out)
        else:
            _show_curve(results)
            save(figure(results.figure()), out / CURVE_FIGURE)
            say(f"The learning curve is in {printable(out / CURVE_FIGURE)}.")
        say(f"All scores are in {printable(file)}.")
    processes.close()
    return 0


def _run_all(
    options: "Finetune", task: "FineTuning[Any]", variations: "Iterable[Variation]", processes: "Processes"
) -> "dict[Variation, Scores]":
    """Run or resume every variation in a folder of its own. Return the scores, in the main process."""
    from minibert.study.learning_curve import finish, stored_scores
    from minibert.training.job import Job
    from minibert.training.records import format_metric

    scores: dict[Variation, Scores] = {}
    main, shown = task.type.main_metric, ""
    for variation in variations:
        folder, varied = options.out / variation.folder, variation.apply(task)
        if processes.is_main and varied.run_summary != shown:
            shown = varied.run_summary
            say(f"  {shown}")
        try:
            found = stored_scores(folder, varied.settings)
        except (ValueError, OSError) as error:
            raise UsageError(error) from error
        if found is not None and not options.resume:
            raise UsageError(f"{folder} holds a finished run: add --resume to use its scores, or choose another --out")
        if found is None:
            create_folder(folder)
            job = Job(partial(_prepared, varied), _output(options, folder), options.hardware, processes)
            finished = run_quietly(job, variation.name, "--learning-rate")
            found = finish(folder, finished.model_of_step) if processes.is_main else {}
        scores[variation] = found
        if processes.is_main:
            say(f"  {variation.name}: {main.heading} {format_metric(found.get(main.name), main.form)}")
    return scores


def _prepared(task: "FineTuning[Any]", directory: Path, create_tokenizer: bool) -> "FineTuning[Any]":
    """Return a task that is already prepared."""
    return task


def _output(options: "Finetune", folder: Path) -> OutputOptions:
    """Return the output options of one run. Its checkpoints are deleted when it is finished, so one is enough."""
    names = [each.name for each in fields(OutputOptions)]
    return OutputOptions(**{name: getattr(options, name) for name in names} | {"out": folder, "keep": 1, "show": 0})


def _show_seeds(results: "RunScores", out: Path) -> None:
    """Print the scores of every seed, with the folder of its model, and their means and deviations."""
    from rich.table import Table

    from minibert.training.records import format_metric

    table = Table()
    for title in ("model", *(metric.heading for metric in results.metrics)):
        table.add_column(title, justify="left" if title == "model" else "right")
    for variation, scores in results.scores.items():
        values = [format_metric(scores.get(metric.name), metric.form) for metric in results.metrics]
        table.add_row(printable(out / variation.folder), *values)
    ((_, spreads),) = results.groups().items()
    table.add_section()
    table.add_row("mean ± deviation", *(spreads[metric.name].format(metric.form) for metric in results.metrics))
    say_table(table, whole=True)
    say("Every folder holds a complete model. Report the mean: the best of several seeds looks better than it is.")


def _show_curve(results: "RunScores") -> None:
    """Print the means and deviations of the metrics for each number of rows and both starts."""
    from rich.table import Table

    table = Table()
    for title in ("rows", "start", *(metric.heading for metric in results.metrics)):
        table.add_column(title, justify="left" if title == "start" else "right")
    for (rows, start), spreads in results.groups().items():
        table.add_row(f"{rows:,}", start, *(spreads[metric.name].format(metric.form) for metric in results.metrics))
    say_table(table, whole=True)
