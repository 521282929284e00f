"""AUROC, d' and accuracy of many score vectors at once."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def auroc_rows(scores: Float[Tensor, "m n"], positive: Bool[Tensor, "m n"]) -> Float[Tensor, " m"]:
    """AUROC of each row of scores against its row of labels; ties count half.

    Args:
        scores: Higher means more of the concept.
        positive: True for the concept class; each row has both classes.

    Source: the rank-sum form of Mann & Whitney (1947).

    Example:
        >>> auroc_rows(torch.tensor([[1.0, 2, 2, 3]]), torch.tensor([[False, False, True, True]])).tolist()
        [0.875]
    """
    label, tied = _labels_in_order(scores.double(), positive)
    rank = torch.arange(1, scores.shape[1] + 1, device=scores.device, dtype=torch.float64)
    total = label.double() @ rank
    if bool(tied.any()):
        ordered, order = scores[tied].sort(dim=1)
        ordered_label = positive[tied].gather(1, order).double()
        total[tied] = (ordered_label * _average_ranks(ordered, rank)).sum(dim=1)
    n_positive = positive.sum(dim=1).double()
    n_negative = positive.shape[1] - n_positive
    area: Tensor = (total - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
    return area


def _labels_in_order(
    scores: Float[Tensor, "m n"], positive: Bool[Tensor, "m n"]
) -> tuple[Bool[Tensor, "m n"], Bool[Tensor, " m"]]:
    """Labels of each row in the order of its scores, and which rows may have ties.

    The label takes the place of the last bit of the score, so that one sort of values, several times faster than
    finding an order, carries it along. Scores that this makes equal differ by a rounding error at most: their rows are
    reported as tied and ranked exactly by the caller.
    """
    # Adding zero copies, and turns -0.0 into 0.0.
    keys = (scores + 0.0).view(torch.int64).bitwise_and_(~1).bitwise_or_(positive)
    if scores.device.type == "cpu":
        # numpy sorts short rows ten times faster than torch.
        ordered = torch.from_numpy(np.sort(keys.view(torch.float64).numpy(), axis=1)).view(torch.int64)
    else:
        ordered = keys.view(torch.float64).sort(dim=1).values.view(torch.int64)
    return (ordered & 1).bool(), ((ordered[:, 1:] ^ ordered[:, :-1]) & ~1 == 0).any(dim=1)


def _average_ranks(ordered: Float[Tensor, "m n"], rank: Float[Tensor, " n"]) -> Float[Tensor, "m n"]:
    """Mean rank of each run of equal values in sorted rows."""
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    n = ordered.shape[1]
    first = torch.where(new, rank, 0.0).cummax(dim=1).values
    ends = torch.ones_like(new)
    ends[:, :-1] = new[:, 1:]
    last = torch.where(ends, rank, float(n)).flip(1).cummin(dim=1).values.flip(1)
    return (first + last) / 2


def d_prime_rows(scores: Float[Tensor, "m n"], positive: Bool[Tensor, "m n"]) -> Float[Tensor, " m"]:
    """Difference of the class means in units of the root mean class variance; 0 where neither class varies.

    Example:
        >>> d_prime_rows(torch.tensor([[0.0, 2, 4, 6]]), torch.tensor([[False, False, True, True]])).round(decimals=3)
        tensor([2.8280])
    """
    one = positive.to(scores.dtype)
    n_one, n_zero = one.sum(dim=1), (1 - one).sum(dim=1)
    mean_one = (scores * one).sum(dim=1) / n_one
    mean_zero = (scores * (1 - one)).sum(dim=1) / n_zero
    centred = scores - torch.where(positive, mean_one[:, None], mean_zero[:, None])
    squared = centred.square()
    spread = (
        (squared * one).sum(dim=1) / (n_one - 1).clamp(min=1)
        + (squared * (1 - one)).sum(dim=1) / (n_zero - 1).clamp(min=1)
    ) / 2
    return torch.where(spread > 0, (mean_one - mean_zero) / spread.clamp(min=1e-300).sqrt(), 0.0)


def one_vs_rest(
    scores: Float[Tensor, "m k n"], codes: Int[Tensor, "m n"], statistic: str = "auroc"
) -> Float[Tensor, " m"]:
    """AUROC or d' of each score vector, averaged over the classes against the rest where there are more than two.

    Args:
        scores: k = 1 for two classes, else one slice per class.
        codes: Class of each row.
        statistic: "auroc" or "d_prime".
    """
    measure = {"auroc": auroc_rows, "d_prime": d_prime_rows}[statistic]
    k = scores.shape[1]
    classes = [1] if k == 1 else range(k)
    each = [measure(scores[:, i], codes == c) for i, c in enumerate(classes)]
    return torch.stack(each).mean(dim=0)
