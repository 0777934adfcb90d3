from __future__ import annotations

import pytest
import torch

from trainer.data_sections import AugmentationSpec
from trainer.mixing import Draw, Mixer, dominant, rectangle

IMAGES = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 8)
LABELS = torch.tensor([0, 1, 2, 1])


def mixer(seed=0, **spec):
    return Mixer(AugmentationSpec(**spec), 3, seed)


def test_mixup_blends_neighbours_and_labels_by_the_same_share():
    mixed, shares = mixer(mixup_alpha=1.0)(IMAGES, LABELS, 1, 0)
    share = mixer(mixup_alpha=1.0).draw(1, 0).share
    expected = torch.tensor([0 * share + 3 * (1 - share), share, 1 + share, 2 + share])
    torch.testing.assert_close(mixed[:, 0, 0, 0], expected)
    torch.testing.assert_close(shares[0], torch.tensor([share, 1 - share, 0.0]))
    torch.testing.assert_close(shares.sum(1), torch.ones(4))


def test_cutmix_labels_are_the_shares_of_the_pixels():
    cut = mixer(cutmix_alpha=1.0)
    seen = set()
    for batch in range(30):
        mixed, shares = cut(IMAGES, LABELS, 1, batch)
        own = float((mixed[2, 0] == 2).float().mean())
        seen.add(own)
        assert set(mixed[2].unique().tolist()) <= {1.0, 2.0}
        torch.testing.assert_close(shares[2], torch.tensor([0.0, 1 - own, own]))
    assert len(seen) > 5


def test_what_is_mixed_depends_on_seed_epoch_and_batch_alone():
    both = {"mixup_alpha": 0.4, "cutmix_alpha": 1.0}
    draws = [[mixer(s, **both).draw(e, b) for b in range(20)] for s in (0, 1) for e in (1, 2)]
    again = [[mixer(s, **both).draw(e, b) for b in range(20)] for s in (0, 1) for e in (1, 2)]
    assert draws == again
    assert len({draw.share for row in draws for draw in row}) == 80
    assert {draw.way for draw in draws[0]} == {"mixup", "cutmix"}


def test_batches_that_are_left_alone_keep_images_and_whole_labels():
    rare = mixer(mixup_alpha=1.0, mix_probability=0.25)
    kept = [batch for batch in range(200) if rare.draw(1, batch) is None]
    assert 120 < len(kept) < 180
    images, shares = rare(IMAGES, LABELS, 1, kept[0])
    assert torch.equal(images, IMAGES)
    assert torch.equal(shares.argmax(1), LABELS)
    assert shares.max(1).values.min() == 1


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.99, 0.5), (0.5, 0.5)])
def test_rectangles_lie_within_the_image(share, centre):
    top, left, bottom, right = rectangle(Draw("cutmix", share, centre), 9, 14)
    assert 0 <= top <= bottom <= 9
    assert 0 <= left <= right <= 14


def test_the_larger_share_counts_as_right():
    shares = torch.tensor([[0.4, 0.6], [0.9, 0.1]])
    assert dominant(shares).tolist() == [1, 0]
    assert dominant(torch.tensor([1, 0])).tolist() == [1, 0]
