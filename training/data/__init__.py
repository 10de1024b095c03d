"""Pictures and captions of any kind of source, as batches that depend on the step alone."""

from training.data.batches import batches
from training.data.plan import BatchPlan
from training.data.records import Batch, Record
from training.data.report import SkipReport
from training.data.source import open_source

__all__ = ["Batch", "BatchPlan", "Record", "SkipReport", "batches", "open_source"]
