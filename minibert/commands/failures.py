"""Messages for failures of a training job: the reason, the last good checkpoint, and the command that continues."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from minibert.commands.errors import UsageError, WorkFailed
from minibert.commands.terminal import shell_command
from minibert.files import reason_of
from minibert.printable import printable

if TYPE_CHECKING:
    from minibert.training.job import Job


@contextmanager
def explained_failures(job: "Job", learning_rate_option: str) -> Iterator[None]:
    """Convert the errors of a job to messages with the last good checkpoint and the command that continues."""
    from torch import distributed

    from minibert.training.job import EvaluationError, JobError
    from minibert.training.loop import DivergenceError

    try:
        yield
    except JobError as error:
        if not job.processes.is_main:
            sys.exit(2)
        raise UsageError(error) from error
    except DivergenceError as error:
        advice = f"Resuming would end the same way: use a lower {learning_rate_option}, in another --out"
        raise WorkFailed(f"{error}. {_last_checkpoint(job)}. {advice}") from None
    except EvaluationError as error:
        raise WorkFailed(f"{error}. {_last_checkpoint(job)}; to continue:\n  {resume_command()}") from error
    except OSError as error:
        problem = printable(f"cannot write to {error.filename or job.output.out}: {reason_of(error)}")
        message = f"{problem}. {_last_checkpoint(job)}; to continue:\n  {resume_command()}"
        raise WorkFailed(message) from error
    except RuntimeError as error:
        if job.processes.world_size == 1 or not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise
        message = f"another process of this job has ended (this is process {job.processes.rank}). {_last_checkpoint(job)}"
        raise WorkFailed(f"{message}; to continue, start the job again with --resume") from error


def _last_checkpoint(job: "Job") -> str:
    newest = job.checkpoints.newest()
    return f"The last good checkpoint is {printable(newest)}" if newest else "There is no checkpoint yet"


def resume_command() -> str:
    """Return the command line of this process, with --resume."""
    if os.environ.get("WORLD_SIZE") != os.environ.get("LOCAL_WORLD_SIZE"):
        return "start the job again on every machine, with --resume"
    words = [word for word in sys.argv[1:] if word != "--resume"]
    start = ["torchrun", f"--nproc-per-node={os.environ['LOCAL_WORLD_SIZE']}", "-m"] if "LOCAL_WORLD_SIZE" in os.environ else []
    return shell_command(*start, "minibert", *words, "--resume")
