"""Which next tokens a decoder row makes likelier: the subject's own output layer applied to it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from probes.subjects.text_autoregressive import TextAutoregressive


@torch.no_grad()
def output_tokens(
    subject: TextAutoregressive, rows: Tensor, count: int = 8
) -> tuple[list[list[tuple[str, float]]], list[list[tuple[str, float]]]]:
    """(promoted, suppressed) per decoder row `row d_model`: tokens with the change of their logit, centred
    over the vocabulary, that one unit of the row makes after the final norm's gain (logit lens).

    Rows that lie in another space than the stream (a dictionary of attention heads) have none."""
    if rows.shape[1] != subject.d_model:
        return [[] for _ in rows], [[] for _ in rows]
    output = subject.model.get_output_embeddings().weight.float()
    gain = final_gain(subject)
    logits = (rows.float().to(output.device) * gain) @ output.T
    logits = logits - logits.mean(dim=1, keepdim=True)
    promoted, suppressed = [], []
    for row in logits:
        high, low = row.topk(count), (-row).topk(count)
        promoted.append([(subject.facts.piece(int(i)), float(v)) for v, i in zip(*high, strict=True)])
        suppressed.append([(subject.facts.piece(int(i)), -float(v)) for v, i in zip(*low, strict=True)])
    return promoted, suppressed


def final_gain(subject: TextAutoregressive) -> Tensor:
    """The gain of the norm before the output layer, `d_model`; ones where there is none.

    The norm is the last child of the backbone with one weight per dimension. Its gain is measured (its
    response to alternating signs), since some families store the gain and others the gain minus one.
    """
    found: nn.Module | None = None
    for module in subject.root.children():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.shape == (subject.d_model,):
            found = module
    if found is None:
        return torch.ones(subject.d_model)
    signs = torch.ones(1, 1, subject.d_model, dtype=subject.dtype, device=subject.device)
    signs[..., 1::2] = -1
    odd: Tensor = (found(signs) - found(-signs)) / 2
    return (odd * signs).flatten().float()
