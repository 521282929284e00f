"""What people say of the texts: blinded rating sheets, their import, agreement, and the geometry beside it."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.ratings.importing import import_ratings as import_ratings
    from empathy_geometry.ratings.ratings import Ratings as Ratings
    from empathy_geometry.ratings.sheet import RatingSheet as RatingSheet
    from empathy_geometry.ratings.sheet import export_rating_sheet as export_rating_sheet
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
