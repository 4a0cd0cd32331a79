"""Bring published weights in: python tools/import_weights.py FILE --source=NAME --output=OUTPUT.

Sources: torchvision_ssd (ssd300_vgg16), ssd_pytorch (amdegroot), ssd_caffe (Caffe's weights under
ssd.pytorch's names), pytorch_pose (bearpaw's hourglasses), princeton_hourglass, openpose (CMU's
COCO model under its ports' names): OUTPUT becomes a folder that jaxpose.restore, jaxpose.predict,
jaxpose.evaluate and config.init_from take, or, if it ends in .npz, one file that they take but for
evaluate. torchvision_vgg16 and vgg16_reducedfc are no
networks but what config.model.base_weights of a detector takes: OUTPUT/vgg16.npz, or OUTPUT.

FILE is .safetensors, .npz, .pth, .pt or .pth.tar; the last three need the extra `import`. Nothing
in it is executed. Where PyTorch is installed, the largest error against a twin in it is printed.
"""

import importlib.util

import cv2
import jax
import numpy as np
from absl import flags

from jaxpose.errors import UsageError, run_main
from jaxpose.inference.pictures import read_picture
from jaxpose.inference.restore import restore
from jaxpose.models.named_weights import MismatchError
from jaxpose.pipelines.import_weights import (
    BASES,
    DETECTORS,
    OPENPOSE,
    SOURCES,
    Imported,
    import_weights,
)

_SOURCE = flags.DEFINE_enum("source", None, SOURCES, "Whose weights they are.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder, or file that ends in .npz.")
_CLASSES = flags.DEFINE_string(
    "classes",
    "",
    "Of a detector: person, voc, coco, coco90, or names with commas; by their number.",
)
_SCALES = flags.DEFINE_enum("scales", "", ["", "voc", "coco"], "Of a detector's default boxes.")
_JOINTS = flags.DEFINE_string(
    "joints", "", "Of a hourglass: mpii, coco, lsp, ..., or names with commas; by their number."
)
_MEAN = flags.DEFINE_list("mean", [], "RGB 0..1 that a hourglass's images lose; default MPII's.")
_CHECK = flags.DEFINE_bool("check", True, "Compare with a twin in PyTorch, where it is installed.")
_IMAGE = flags.DEFINE_string("image", None, "Photograph to compare on; default a drawn pattern.")


def main(argv: list[str]) -> None:
    """File -> checkpoint or base weights."""
    if len(argv) != 2 or not _SOURCE.value or not _OUTPUT.value:
        raise UsageError("usage: import_weights.py FILE --source=NAME --output=OUTPUT (see --help)")
    try:
        imported = import_weights(
            argv[1],
            _SOURCE.value,
            _OUTPUT.value,
            classes=_CLASSES.value,
            joints=_JOINTS.value,
            scales=_SCALES.value,
            mean=_numbers(_MEAN.value),
        )
    except MismatchError as error:
        for kind, names in error.mismatches.items():
            for name in names:
                print(f"{kind}: {name}")
        raise
    _report(imported)
    if _CHECK.value and importlib.util.find_spec("torch") is None:
        print("not compared: PyTorch is not installed")
    elif _CHECK.value:
        _compare(imported, _SOURCE.value)


def _numbers(given: list[str]) -> tuple[float, ...]:
    try:
        mean = tuple(float(value) for value in given)
    except ValueError as error:
        raise UsageError(f"--mean: {error}; give three numbers") from error
    if len(mean) not in (0, 3):
        raise UsageError(f"--mean: {len(mean)} numbers; give three")
    return mean


def _report(imported: Imported) -> None:
    config, output = imported.config, imported.output
    print(f"{output}: {imported.parameters:,} parameters of {_SOURCE.value}")
    if config is None:
        print(f"no network yet: train a detector with --config.model.base_weights={output}")
    elif config.task == "pose":
        print(f"joints ({config.skeleton}): {', '.join(config.joints)}")
        print(f"images: rgb 0..1 minus {config.mean}; heat map: {config.heatmap.to_dict()}")
    elif config.task == "bottom_up":
        print(f"parts ({config.skeleton}): {', '.join(config.joints)}")
        print(f"limbs: {', '.join('-'.join(pair) for pair in config.part_limbs.pairs)}")
        print(f"images: {config.channels} (0..255 minus {config.mean}) over 256")
    else:
        print(f"{len(config.classes)} classes: {', '.join(config.classes)}")
        print(f"images: {config.channels} 0..255 minus {config.mean} (rgb)")
        print(f"{config.default_boxes.to_dict()} {config.detect.to_dict()}")


def _compare(imported: Imported, source: str) -> None:
    import twin_parity
    from torch_twins_openpose import openpose_parity

    image = read_picture(_IMAGE.value).image if _IMAGE.value else _pattern()
    with jax.default_matmul_precision("highest"):
        if source in BASES:
            parity = twin_parity.base_parity(imported.output, imported.weights, source, image)
        else:
            compare = twin_parity.hourglass_parity
            if source in DETECTORS:
                compare = twin_parity.detector_parity
            elif source == OPENPOSE:
                compare = openpose_parity
            parity = compare(restore(imported.output), imported.weights, source, image)
    text = f"raw outputs {parity.raw:.1e} (their standard deviation {parity.spread:.2g})"
    if parity.final is not None:
        what = "boxes" if source in DETECTORS else "joints"
        text += f", {parity.compared} {what} {parity.final:.1e} px"
    lacking = f", {parity.unmatched} without a counterpart" if parity.unmatched else ""
    print(f"largest error against PyTorch: {text}{lacking}")


def _pattern() -> np.ndarray:
    """A smooth RGB picture with some structure in it, uint8 [480, 640, 3]."""
    coarse = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    return cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)


if __name__ == "__main__":
    run_main(main)
