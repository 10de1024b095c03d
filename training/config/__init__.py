"""One typed, frozen configuration of a training run, from files, the command line and dicts."""

from training.config.load import load_config, save_config
from training.config.settings import TrainingConfig

__all__ = ["TrainingConfig", "load_config", "save_config"]
