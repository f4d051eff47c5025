"""Where a checkpoint's files are: in a folder here, or on the Hugging Face hub, from where only those that are needed come."""

import re
from pathlib import Path

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
"""What names a model on the hub: `google-bert/bert-base-uncased`, `bert-base-uncased`."""


def fetch(source: str | Path, name: str) -> Path | None:
    """The file `name` of a checkpoint, or None if the checkpoint has no such file.

    Args:
        source: a folder, a file in it, or the id of a model on the hub, which is downloaded once and then kept.

    Raises: FileNotFoundError if there is neither such a folder nor such a model, or the hub cannot be reached.
    """
    path = Path(source)
    if path.exists():
        wanted = (path if path.is_dir() else path.parent) / name
        return wanted if wanted.is_file() else None
    in_a_folder = len(path.parts) > 1 and path.parent.is_dir()  # then a folder was meant, and its name is wrong
    if not isinstance(source, str) or not HUB_ID.fullmatch(source) or in_a_folder:
        raise FileNotFoundError(f"{source}: there is no such folder or file")
    return _download(source, name)


def _download(model: str, name: str) -> Path | None:
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(hf_hub_download(model, name))
    except LocalEntryNotFoundError as error:
        if try_to_load_from_cache(model, name) is _CACHED_NO_EXIST:  # the hub has said so when it could be reached
            return None
        raise FileNotFoundError(
            f"{model}: is no checkpoint folder here, and the hub cannot be reached to look for it there. "
            "Give a folder, or go online once: what is downloaded is kept"
        ) from error
    except EntryNotFoundError:
        return None
    except GatedRepoError as error:
        raise FileNotFoundError(f"{model}: not everybody may download it; see its page, then `hf auth login`") from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(f"{model}: is no checkpoint folder here, and the hub has no such model") from error
    except Exception as error:  # the libraries below raise their own kinds: bad names, proxies, connections
        raise FileNotFoundError(f"{model}: could not be downloaded ({error})") from error
