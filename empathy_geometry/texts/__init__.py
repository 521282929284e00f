"""Labeled texts, how they are read from files, and folds that keep scenarios together."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.texts.families import family_folds as family_folds
    from empathy_geometry.texts.families import family_split as family_split
    from empathy_geometry.texts.held_apart import held_apart_folds as held_apart_folds
    from empathy_geometry.texts.mixtures import mix_texts as mix_texts
    from empathy_geometry.texts.several_labels import label_columns as label_columns
    from empathy_geometry.texts.splits import grouped_folds as grouped_folds
    from empathy_geometry.texts.text_records import Columns as Columns
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
