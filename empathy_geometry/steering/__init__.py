"""Edits of the residual stream while the model runs, and what becomes of the text."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.steering.bits import bandwidth_in_bits as bandwidth_in_bits
    from empathy_geometry.steering.calibration import calibrate_threshold as calibrate_threshold
    from empathy_geometry.steering.card import SteeringCard as SteeringCard
    from empathy_geometry.steering.card import steering_card as steering_card
    from empathy_geometry.steering.hook import response_spans as response_spans
    from empathy_geometry.steering.interval_censored import crossings as crossings
    from empathy_geometry.steering.reference import unsteered_reference as unsteered_reference
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
