"""Ratings of the same texts by one or several people: do they agree, and do they follow the geometry?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy.stats import spearmanr

from empathy_geometry.evaluation.bootstrap import cluster_bootstrap
from empathy_geometry.evaluation.rank_correlation import spearman
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.foundation._validation import as_groups, check_choice
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.ratings.items import Key
from empathy_geometry.ratings.tables import interval_alpha, key_and_matrix

Measurement = Literal["nominal", "ordinal", "interval"]
MEASUREMENTS: tuple[Measurement, ...] = ("nominal", "ordinal", "interval")
Units = Literal["prompts", "items"]


@dataclass(frozen=True, eq=False)
class Ratings(Result):
    """What raters said, beside what they could not see.

    Attributes:
        key: Items with their sources.
        raters: Names.
        values: [n_raters, n_items], in the key's order; NaN where a rater gave none.
        comments: [n_raters][n_items], "" where there is none.
    """

    key: Key
    raters: tuple[str, ...]
    values: FloatArray
    comments: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def from_table(
        cls,
        table: Any,
        *,
        item: str,
        rater: str,
        score: str,
        group: str | None = None,
        text: str | None = None,
        question: str = "rating",
    ) -> "Ratings":
        """Ratings that anybody collected, one in each row of a table.

        Args:
            table: A DataFrame, or the path of a CSV file with a header.
            item: Column that names what was rated.
            rater: Column that names who rated.
            score: Column of the rating, any number; rows without one are left out.
            group: Column of the prompt or scenario that items belong to; None takes items as independent.
            text: Column of the text itself, if it is there.
            question: What was asked.

        Raises:
            FileNotFoundError: there is no such file.
            TypeError: neither a frame nor a path.
            ValueError: a column is missing, a rating is no number, an item is rated twice by one rater, or is in two
                groups; names the row.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"post": ["a", "a", "b", "b"], "who": ["x", "y"] * 2, "warm": [1, 2, 5, 4]})
            >>> Ratings.from_table(frame, item="post", rater="who", score="warm").means.tolist()
            [1.5, 4.5]
        """
        key, raters, values = key_and_matrix(
            table, item=item, rater=rater, score=score, group=group, text=text, question=question
        )
        return cls(key, raters, values)

    def __len__(self) -> int:
        return len(self.key.items)

    def ceiling(
        self, *, over: Units = "prompts", level: float = 0.95, n_resamples: int = 1000, seed: int = 0
    ) -> Estimate:
        """The correlation that a perfect score could reach with the mean ratings, given how raters agree.

        The root of the reliability of the mean: k a / (1 + (k - 1) a) with Krippendorff's interval alpha a, the
        reliability of one rater, and k the harmonic mean of the raters per item. It is exact for Pearson's correlation
        and near it for Spearman's. Where everybody rated everything, differences between raters in how high they rate
        move no item's mean past another's and are taken out first. 0 where raters agree no better than by chance.

        Args:
            over: As in `agreement`.
            level: Coverage of the interval.
            n_resamples: Bootstrap resamples.
            seed: Of the bootstrap.

        Raises:
            ValueError: no text has two ratings, all ratings are the same, or there are too few prompts to resample.

        Source: Spearman (1910) and Brown (1910), British Journal of Psychology 3; Lord & Novick (1968), ch. 3.
        """
        check_choice(over, "over", ("prompts", "items"))
        whole = not np.isnan(self.values).any()
        centred = self.values - (self.values.mean(axis=1, keepdims=True) if whole else 0.0)
        twice = (~np.isnan(centred)).sum(axis=0) >= 2
        if not twice.any() or np.nanmax(centred[:, twice]) == np.nanmin(centred[:, twice]):
            raise ValueError("the ceiling is not defined: no text has two ratings, or all ratings are the same")
        given = centred[:, twice]
        groups = (
            np.array([item.group for item in self.key.items])[twice] if over == "prompts" else np.arange(twice.sum())
        )
        single = cluster_bootstrap(
            lambda rows: interval_alpha(given[:, rows]),
            groups=groups,
            n_resamples=n_resamples,
            level=level,
            seed=seed,
            progress=False,
        ).estimate
        counts = (~np.isnan(self.values)).sum(axis=0)
        k = float(1 / np.mean(1 / counts[counts > 0]))

        def reach(a: float | None) -> float | None:
            return None if a is None else float(np.sqrt(max(k * max(a, 0.0) / (1 + (k - 1) * max(a, 0.0)), 0.0)))

        value = reach(single.value)
        assert value is not None
        method = f"root of the reliability of the mean of {k:.3g} raters (Spearman-Brown)"
        return replace(single, value=value, low=reach(single.low), high=reach(single.high), method=method)

    def follows(self, scores: Mapping[str, float] | Sequence[float] | FloatArray, *, level: float = 0.95) -> Estimate:
        """Spearman correlation of the mean ratings with scores of the same items, clustered by prompt.

        Args:
            scores: Of a frozen direction or probe that saw none of these ratings: by item, or one for each item in the
                order of `key.items`.
            level: Coverage of the interval.

        Raises:
            ValueError: an item without a score, or scores or ratings that do not vary.
        """
        if isinstance(scores, Mapping):
            if missing := [item.id for item in self.key.items if item.id not in scores]:
                raise ValueError(f"scores lack {len(missing)} of {len(self)} items, first {missing[0]!r}")
            given = np.array([float(scores[item.id]) for item in self.key.items])
        else:
            given = np.asarray(scores, dtype=np.float64)
        if given.shape != (len(self),):
            raise ValueError(f"scores must have one number for each of {len(self)} items, got shape {given.shape}")
        means = self.means
        rated = ~np.isnan(means)
        groups = np.array([item.group for item in self.key.items])[rated]
        return spearman(given[rated], means[rated], groups=groups, level=level)

    @property
    def means(self) -> FloatArray:
        """Mean rating of each item over its raters, [n_items]; NaN where nobody rated it."""
        counts = (~np.isnan(self.values)).sum(axis=0)
        total = np.nansum(self.values, axis=0)
        return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the numbers that the key has for every item."""
        each = [set(item.measures) for item in self.key.items]
        return tuple(name for name in self.key.items[0].measures if all(name in names for names in each))

    def agreement(
        self,
        *,
        measurement: Measurement = "ordinal",
        over: Units = "prompts",
        level: float = 0.95,
        n_resamples: int = 1000,
        seed: int = 0,
    ) -> Estimate:
        """Krippendorff's alpha: 1 is perfect agreement, 0 what chance would give, below 0 systematic disagreement.

        Args:
            measurement: How far apart two ratings are: "nominal" (same or not), "ordinal" (by their ranks), "interval".
            over: What the interval resamples: "prompts" with all their items (texts that answer one prompt are not
                independent), or "items".
            level: Coverage of the interval.
            n_resamples: Bootstrap resamples.
            seed: Seed of the bootstrap.

        Raises:
            ImportError: the package `krippendorff` is not installed.
            ValueError: fewer than two raters, all ratings equal, or too few prompts to resample.

        Source: Krippendorff (2011), Computing Krippendorff's alpha-reliability; Hayes & Krippendorff (2007),
            Communication Methods and Measures 1.
        """
        check_choice(measurement, "measurement", MEASUREMENTS)
        check_choice(over, "over", ("prompts", "items"))
        try:
            from krippendorff import alpha
        except ImportError as error:
            raise ImportError(
                "agreement needs the package 'krippendorff'; install empathy-geometry[ratings]"
            ) from error
        if len(self.raters) < 2:
            raise ValueError(f"agreement needs two raters or more, got {len(self.raters)}; import more files")
        twice = (~np.isnan(self.values)).sum(axis=0) >= 2
        given = self.values[:, twice]
        if np.unique(given[~np.isnan(given)]).size < 2:
            raise ValueError("agreement is not defined: no text has two ratings, or all ratings are the same")
        groups = (
            np.array([item.group for item in self.key.items])[twice] if over == "prompts" else np.arange(twice.sum())
        )

        def statistic(rows: IntArray) -> float:
            chosen = given[:, rows]
            if np.unique(chosen[~np.isnan(chosen)]).size < 2:
                # A resample in which everybody says the same has nothing to disagree about.
                return 1.0
            return float(alpha(reliability_data=chosen, level_of_measurement=measurement))

        found = cluster_bootstrap(
            statistic, groups=groups, n_resamples=n_resamples, level=level, seed=seed, progress=False
        ).estimate
        return replace(found, method=f"Krippendorff's alpha, {measurement}, BCa bootstrap over {over}")

    def correlate(
        self,
        measures: Sequence[str] | None = None,
        *,
        level: float = 0.95,
        n_resamples: int = 1000,
        seed: int = 0,
    ) -> dict[str, Estimate]:
        """Spearman correlation of the mean ratings with what the geometry says of the same texts.

        Where several rows of the study had the same text, their mean is taken. The interval resamples prompts.

        Args:
            measures: Which; None takes all that every item has ("alpha", "|alpha|", "concept", "coherence" and its
                parts, for a sweep).
            level: Coverage of the intervals.
            n_resamples: Bootstrap resamples of prompts.
            seed: Seed of the bootstrap.

        Raises:
            ValueError: an unknown measure, one that is constant, or fewer than three prompts.
        """
        chosen = self.measures if measures is None else tuple(measures)
        if not chosen:
            raise ValueError("the key has no measures; pass measures= to export_rating_sheet, or export a sweep")
        for name in chosen:
            check_choice(name, "measures", self.measures)
        means = self.means
        rated = np.flatnonzero(~np.isnan(means))
        groups = np.array([self.key.items[i].group for i in rated])
        ratings = means[rated]
        found = {}
        for name in chosen:
            values = np.array([self.key.items[i].measures[name] for i in rated])
            if np.unique(values).size < 2 or np.unique(ratings).size < 2:
                if measures is None and np.unique(values).size < 2:
                    continue
                raise ValueError(f"the ratings or {name!r} are the same for every text: there is no correlation")
            estimate = cluster_bootstrap(
                lambda rows, values=values: _spearman(ratings[rows], values[rows]),  # type: ignore[misc]
                groups=groups,
                n_resamples=n_resamples,
                level=level,
                seed=seed,
                progress=False,
            ).estimate
            found[name] = replace(estimate, method="Spearman, BCa bootstrap over prompts")
        return found

    def json_content(self) -> dict[str, Any]:
        """Raters, ratings and comments by item."""
        rows = []
        for i, item in enumerate(self.key.items):
            given = {rater: self.values[r, i] for r, rater in enumerate(self.raters)}
            rows.append(
                {
                    "item": item.id,
                    "group": item.group,
                    "ratings": {
                        rater: None if np.isnan(v) else int(v) if float(v).is_integer() else float(v)
                        for rater, v in given.items()
                    },
                    "labels": [s.label for s in item.sources],
                    "measures": item.measures,
                }
            )
        return {"sheet": self.key.sheet, "question": self.key.question, "scale": list(self.key.scale), "items": rows}

    def to_frame(self) -> Any:
        """One row per rater and item, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        rows = [
            {
                "rater": rater,
                "item": item.id,
                "group": item.group,
                "label": item.sources[0].label,
                "rating": float(self.values[r, i]),
                "comment": self.comments[r][i] if self.comments else "",
                **item.measures,
            }
            for r, rater in enumerate(self.raters)
            for i, item in enumerate(self.key.items)
        ]
        return pd.DataFrame(rows)

    def tables(self) -> tuple[Table, ...]:
        """How each rater used the scale."""
        n_groups = int(as_groups([item.group for item in self.key.items], len(self)).max()) + 1
        low, high = self.key.scale
        rows = []
        for rater, row in zip(self.raters, self.values, strict=True):
            given = row[~np.isnan(row)]
            spread = float(given.std(ddof=1)) if given.size > 1 else None
            rows.append(
                {"rater": rater, "rated": given.size, "mean": float(given.mean()) if given.size else None, "sd": spread}
            )
        return (Table.of(f"{self.key.question} ({low} to {high}); {len(self)} texts of {n_groups} prompts", rows),)


def _spearman(a: FloatArray, b: FloatArray) -> float:
    if np.unique(a).size < 2 or np.unique(b).size < 2:
        # A resample without any variation follows nothing.
        return 0.0
    return float(spearmanr(a, b).statistic)
