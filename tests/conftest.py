"""Property tests run the same examples every time, however busy the machine is; nothing takes the
machine's card by itself (tests that need one name it)."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")

os.environ["INFINITY_DEVICE"] = "cpu"  # for processes that tests start, too
