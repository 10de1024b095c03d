"""Whether the hub of models can be asked at all."""

import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, try_to_load_from_cache

from infinity.errors import ResourceError

ADVICE = "check the network connection, or download the files elsewhere and give their folder."


def is_here(name: str) -> bool:
    """Whether a model is a folder, or its settings are in the cache."""
    return Path(name).is_dir() or isinstance(try_to_load_from_cache(name, "config.json"), str)


def check_hub(name: str) -> None:
    """Find out at once that there is no network: the hub's own library asks again and again for 23 s.

    Nothing is found out behind a proxy, which alone may know the hub's address.

    Args:
        name: of what is wanted of it.

    Raises:
        ResourceError: the hub's name is unknown here.
    """
    if constants.HF_HUB_OFFLINE or getproxies().keys() & {"https", "all", "socks"}:
        return
    host = urlsplit(constants.ENDPOINT).hostname
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        raise ResourceError(
            f"{name} cannot be downloaded, as {host} is not to be found: {ADVICE}"
        ) from error
