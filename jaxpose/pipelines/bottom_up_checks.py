"""What a bottom-up config may say."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from ml_collections import ConfigDict

from jaxpose.models.openpose import STRIDE

Rules = dict[str, tuple[bool, str]]


def bottom_up_rules(config: ConfigDict) -> Rules:
    """Field -> whether its value has a meaning, and which values have."""
    model = config.model
    plain = model.width == 1 and not model.batch_norm
    multiple = f"two multiples of {STRIDE}"
    return (
        {
            "input_size": (_fits(config.input_size), multiple),
            "eval.input_size": (_fits(config.eval.input_size), multiple),
            "max_boxes": (config.max_boxes >= 0, "0 (from the records) or more"),
            "max_ignored": (config.max_ignored >= 0, "0 (from the records) or more"),
            "mean": (len(config.mean) == 3 and all(map(isfinite, config.mean)), "three numbers"),
            "channels": (config.channels in ("rgb", "bgr"), "'rgb' or 'bgr'"),
            "midpoints": (
                all(len(joints) == 3 and _known(config, joints) for joints in config.midpoints),
                "triples of joints of the set: made, one, other",
            ),
            "model.stages": (model.stages >= 1, "1 or more"),
            "model.width": (model.width > 0, "above 0"),
            "model.base_weights": (
                plain or not model.base_weights,
                "'' with batch_norm or another width than 1: ImageNet weights fit neither",
            ),
            "init_from": (
                not (config.init_from and model.base_weights),
                "'' where config.model.base_weights is given: a run starts from one of them",
            ),
            "targets.sigma": (config.targets.sigma > 0, "above 0"),
            "targets.limb_width": (config.targets.limb_width > 0, "above 0"),
            "targets.merge": (
                config.targets.merge in ("max", "clipped_sum"),
                "'max' or 'clipped_sum'",
            ),
        }
        | _augmentation_rules(config)
        | _grouping_rules(config)
    )


def _augmentation_rules(config: ConfigDict) -> Rules:
    options = config.augment
    low, high = options.scale
    return {
        "augment.person_size": (options.person_size >= 0, "0 (whole frames) or more"),
        "augment.scale": (0 < low <= high, "two rising numbers above 0"),
        "augment.largest_zoom": (options.largest_zoom > 0, "above 0"),
        "augment.rotation": (options.rotation >= 0, "0 or more"),
        "augment.shift": (options.shift >= 0, "0 or more"),
        "augment.flip_probability": (0 <= options.flip_probability <= 1, "from 0 to 1"),
    }


def _grouping_rules(config: ConfigDict) -> Rules:
    grouping = config.grouping
    return {
        "grouping.sigma": (grouping.sigma >= 0, "0 (no smoothing) or more"),
        "grouping.max_peaks": (grouping.max_peaks >= 1, "1 or more"),
        "grouping.samples": (grouping.samples >= 2, "2 or more"),
        "grouping.sample_share": (0 <= grouping.sample_share < 1, "from 0 to below 1"),
        "grouping.long_limb": (grouping.long_limb > 0, "above 0"),
        "grouping.min_parts": (grouping.min_parts >= 1, "1 or more"),
    }


def _fits(size: Any) -> bool:
    is_size = isinstance(size, tuple) and len(size) == 2
    return is_size and all(side > 0 and side % STRIDE == 0 for side in size)


def _known(config: ConfigDict, joints: Sequence[str]) -> bool:
    # Without joints the set is a known one, or comes from the records: looked up later.
    return not config.joints or all(joint in config.joints for joint in joints)
