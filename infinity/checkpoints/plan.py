"""What loading a model would download, found out beforehand: bytes, free disk, network."""

import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from infinity.checkpoints.download import cache_folder, model_request, text_encoder_request
from infinity.checkpoints.transfer import free_bytes, require_space
from infinity.errors import CheckpointError
from infinity.registry import DEFAULT_MODEL_FOLDER, TEXT_ENCODER_PARAMETERS
from infinity.spec import CONFIG_FILE, ModelSpec


@dataclass(frozen=True)
class DownloadPlan:
    """Bytes still to fetch into ``folder``, and those free there."""

    nbytes: int
    free: int
    folder: Path

    def require(self) -> None:
        """Raises ResourceError when the disk has no room for it."""
        require_space(self.folder, self.nbytes)


def text_parameters(spec: ModelSpec, folder: Path | None = None) -> int:
    """Numbers in a model's text encoder, read off its files' headers; 0 where that cannot be known.

    Args:
        folder: as in :func:`plan_download`.

    Raises:
        CheckpointError: a file is damaged.
    """
    beside = (folder or DEFAULT_MODEL_FOLDER) / spec.text_encoder.source
    if "/" in spec.text_encoder.source and not (beside / CONFIG_FILE).is_file():
        return TEXT_ENCODER_PARAMETERS.get(spec.text_encoder.source, 0)
    return parameters_in(beside)


def parameters_in(text_encoder: Path) -> int:
    """Numbers in the files of a text encoder's folder; raises CheckpointError for a damaged one."""
    count = 0
    for path in sorted(text_encoder.glob("model*.safetensors")):
        try:
            with safe_open(path, "pt") as file:
                count += sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"The text encoder's file {path} is damaged ({error}); fetch it again."
            ) from error
    return count


def plan_download(spec: ModelSpec, folder: Path | None = None) -> DownloadPlan:
    """What is missing of a model's files. Asks the hub only for what is not in the cache.

    Args:
        folder: of a model in the own format; None for the default and released models.

    Raises:
        ResourceError: something is missing and the hub cannot be asked for it.
        CheckpointError: the hub lacks it.
    """
    requests = [] if spec.hub is None else [model_request(spec.hub)]
    beside = (folder or DEFAULT_MODEL_FOLDER) / spec.text_encoder.source / CONFIG_FILE
    if "/" in spec.text_encoder.source and not beside.is_file():
        requests.append(text_encoder_request(spec.text_encoder))
    nbytes = sum(request.bytes_to_fetch() for request in requests)
    return DownloadPlan(nbytes, free_bytes(cache_folder()), cache_folder())
