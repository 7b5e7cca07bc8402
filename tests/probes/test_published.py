"""The published scores beside the strict ones: where they agree, and by what the published ones come out higher."""

from __future__ import annotations

import numpy as np
import pytest

from probes.metrics.factor_recovery import factor_recovery
from probes.metrics.published import image_mcc, image_r2, scores, video_mcc, video_r2

RANDOM = np.random.default_rng(7)
FACTORS = RANDOM.normal(size=(400, 4))
NOISE = RANDOM.normal(size=(400, 12))


def test_both_protocols_agree_on_factors_found_and_name_their_numbers_apart() -> None:
    factors = FACTORS[:200]
    strict = scores(factors[:, ::-1] * 3, factors)
    published = scores(factors[:, ::-1] * 3, factors, "causalverse-2025", iterations=300)
    assert not set(strict) & set(published) and all(name.startswith("published") for name in published)
    for name in ("mcc", "mcc_spearman", "r2_linear"):
        assert strict[name] == pytest.approx(1, abs=1e-3)
    for name in ("published_mcc", "published_mcc_video"):
        assert published[name] == pytest.approx(1, abs=1e-3)
    assert strict["mcc_chance"] < 0.2 and min(published["published_r2"], published["published_r2_video"]) > 0.8


def test_two_codes_for_four_factors_are_half_in_one_and_whole_in_the_other() -> None:
    codes = FACTORS[:, :2]
    assert image_mcc(codes, FACTORS) == pytest.approx(1, abs=1e-6)
    assert factor_recovery(codes, FACTORS).mcc == pytest.approx(0.5)
    assert image_mcc(np.concatenate([codes, NOISE[:, :3]], axis=1), FACTORS, dims=2) == pytest.approx(1, abs=1e-6)


def test_codes_of_noise_score_higher_where_match_and_score_share_rows() -> None:
    assert image_mcc(NOISE, FACTORS) > factor_recovery(NOISE, FACTORS).mcc + 0.03


def test_padding_and_jitter_hang_on_the_seed_alone() -> None:
    codes = np.concatenate([FACTORS[:, :2], NOISE], axis=1)
    assert image_mcc(codes, FACTORS, seed=1) == image_mcc(codes, FACTORS, seed=1)
    assert image_mcc(codes * 1e-6, FACTORS, seed=1) != image_mcc(codes * 1e-6, FACTORS, seed=2)


def test_jitter_drowns_small_codes_and_lends_a_dead_one_a_score() -> None:
    assert image_mcc(FACTORS * 1e-9, FACTORS) < 0.2 < 0.999 < factor_recovery(FACTORS * 1e-9, FACTORS).mcc
    dead = np.zeros_like(FACTORS)
    assert image_mcc(dead, FACTORS) > 0 == factor_recovery(dead, FACTORS).mcc


def test_a_few_good_factors_hide_the_others_in_videos() -> None:
    """Of eight factors four are found: their mean is 1. One code for two factors counts twice."""
    factors = np.concatenate([FACTORS, NOISE[:, :4]], axis=1)
    assert video_mcc(FACTORS, factors) == pytest.approx(1)
    assert factor_recovery(FACTORS, factors).mcc == pytest.approx(0.5, abs=1e-6)
    twice = np.repeat(FACTORS[:, :1], 2, axis=1)
    assert video_mcc(FACTORS[:, :1], twice) == pytest.approx(1)
    assert factor_recovery(FACTORS[:, :1], twice).mcc == pytest.approx(0.5)


def test_best_on_the_scored_rows_is_above_the_last_on_codes_that_know_nothing() -> None:
    found = video_r2(NOISE[:100], FACTORS[:100], iterations=150)
    assert found.best > found.last + 0.03
    assert scores(NOISE[:100], FACTORS[:100])["r2_linear"] < 0.1


def test_frames_of_one_video_on_both_sides_lend_codes_that_tell_videos_apart_a_score() -> None:
    """Each video has one value and one name drawn at random: nothing to learn, yet the frames say it all."""
    videos = np.eye(12)[:, None].repeat(10, axis=1)  # video frame code
    value = RANDOM.normal(size=(12, 1, 1)).repeat(10, axis=1)
    assert video_r2(videos, value, iterations=300).best > 0.9
    assert video_mcc(videos, value) < 1


def test_the_image_score_hangs_on_the_order_of_rows() -> None:
    """Rows in order of the code: fitted where it is small, scored where it is large."""
    codes = FACTORS[:, :1]
    ordered = np.sort(codes, axis=0)
    assert image_r2(codes, np.cos(4 * codes)) > 0.9 > 0.5 > image_r2(ordered, np.cos(4 * ordered))


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(ValueError, match="pair them"):
        image_mcc(FACTORS, FACTORS[:30])
    with pytest.raises(ValueError, match="5 rows are too few"):
        image_r2(FACTORS[:5], FACTORS[:5])
    with pytest.raises(ValueError, match="9 rows are too few"):
        video_r2(FACTORS[:9], FACTORS[:9])
    with pytest.raises(ValueError, match="pair them"):
        scores(FACTORS[None], FACTORS[None])
