"""Whole studies; they only compose what is below."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.studies.frozen_readings import freeze_reading as freeze_reading
    from empathy_geometry.studies.frozen_readings import human_truth as human_truth
    from empathy_geometry.studies.label_meanings import what_labels_mean as what_labels_mean
    from empathy_geometry.studies.planted_study import planted_run as planted_run
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
