"""A data set's folder onto the Hugging Face hub, with huggingface_hub.

The token comes from where that library looks: `HF_TOKEN`, or `hf auth login`. `HF_ENDPOINT` names
another hub than huggingface.co. The upload is one commit: readers see the old data set or the new.
"""

from __future__ import annotations

import os
from pathlib import Path

from cord.errors import CordError, UsageError


def require_token() -> None:
    """Raise `UsageError` where the hub's library finds no token: before work is spent."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise UsageError("the hub needs a token that may write: set HF_TOKEN, or `hf auth login`")


def push(folder: Path, repository: str, private: bool, message: str) -> str:
    """Upload `folder` to the data set `repository` (`OWNER/NAME`), which is made if it is not
    there; returns its address.

    Raises `UsageError` without a token, for a name that is none, and where `private` is wanted of
    one that is public; `CordError` where the hub refuses or cannot be reached."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    require_token()
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    where = f"{repository} on {api.endpoint}"
    try:
        made = api.create_repo(
            repository, repo_type="dataset", private=private or None, exist_ok=True
        )
        if private and not api.dataset_info(repository).private:
            raise UsageError(
                f"{where} is there already, and public; make it private first, or name another"
            )
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            repo_type="dataset",
            commit_message=message,
            delete_patterns="data/train-*.parquet",
        )
    except HFValidationError as error:
        raise UsageError(f"--push-to-hub {repository}: {_first(error)}") from None
    except HfHubHTTPError as error:
        raise CordError(_refused(where, error.response.status_code, _first(error))) from None
    except CordError:
        raise
    except ValueError as error:  # the hub's own check of a card
        raise CordError(f"{where} does not take the data card: {_first(error)}") from None
    except Exception as error:  # the library under the hub's is another one in each major version
        raise CordError(
            f"{where} cannot be reached ({_first(error)}); check the network, HF_ENDPOINT and "
            "HF_HUB_OFFLINE, then run the same command again"
        ) from None
    return str(made)


def _refused(where: str, status: int, said: str) -> str:
    if status == 401:
        return f"the token is not valid for {where}; renew HF_TOKEN, or `hf auth login`"
    if status == 403:
        return f"the token may not write to {where}; give it write access, or name your own"
    return f"{where} answered {status}: {said}"


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
