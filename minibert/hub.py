"""Files of a checkpoint, in a local folder or on the Hugging Face hub. Only the files that are needed are downloaded."""

import os
import re
from pathlib import Path

HUB_ID = re.compile(r"(?=.{1,96}$)[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
"""Pattern of a model id on the hub, such as `google-bert/bert-base-uncased` or `bert-base-uncased`."""


def fetch(source: str | Path, name: str) -> Path | None:
    """Return the path of the file `name` of a checkpoint, or None if the checkpoint has no such file.

    Args:
        source: a folder, a file in that folder, or a model id on the hub. Downloaded files are cached.

    Raises: FileNotFoundError if neither a folder nor a model with this name exists, or the hub cannot be reached.
    """
    if not str(source):  # `Path` takes it for the current folder
        raise FileNotFoundError("the name of a checkpoint is empty: give a folder, or the id of a model on the hub")
    path = Path(source)
    if os.path.exists(path):
        wanted = (path if path.is_dir() else path.parent) / name
        return wanted if wanted.is_file() else None
    # A link without a target, or a mistyped name in a folder that exists.
    is_local = os.path.lexists(path) or (len(path.parts) > 1 and os.path.isdir(path.parent))
    if not isinstance(source, str) or not HUB_ID.fullmatch(source) or is_local:
        address = re.match(r"https?://(?:huggingface\.co|hf\.co)/(.+)", str(source))
        hint = f". Give the id of the model, such as {'/'.join(address[1].split('/')[:2])}" if address else ""
        raise FileNotFoundError(f"{str(source)[:200]}: no such folder or file{hint}")
    return _download(source, name)


def _download(model: str, name: str) -> Path | None:
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(hf_hub_download(model, name))
    except LocalEntryNotFoundError as error:
        if try_to_load_from_cache(model, name) is _CACHED_NO_EXIST:  # an earlier request showed that the file does not exist
            return None
        raise FileNotFoundError(
            f"{model}: not a local folder, and the Hugging Face hub cannot be reached. "
            "Use the path of a local checkpoint, or connect to the internet once to download the model"
        ) from error
    except EntryNotFoundError:
        return None
    except GatedRepoError as error:
        raise FileNotFoundError(
            f"{model}: access is restricted. Request access on the model's page, then run `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(f"{model}: neither a local folder nor a model on the Hugging Face hub") from error
    except Exception as error:  # invalid names, proxies and connections raise errors of many classes
        raise FileNotFoundError(f"{model}: download failed ({error})") from error
