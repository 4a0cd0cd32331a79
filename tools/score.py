"""Score result files, without a network: python tools/score.py posetrack GROUND_TRUTH PREDICTIONS.

posetrack: folders with a JSON file a video, of PoseTrack17 or PoseTrack18; poseval's AP.
coco: a COCO annotation file and a result file, of keypoints (OKS) or boxes as the results tell.
voc: a VOCdevkit folder or COCO annotation file, and a COCO result file, one of the kit's text files
(comp4_det_test_person.txt) or a folder of them; --rule, --iou_threshold, --image_set, --classes,
--noplus_one, --noinclusive, --difficult=count.

--json=FILE writes the scores and how they came about.
"""

from collections.abc import Callable
from typing import Any

from absl import flags

from jaxpose.annotations.json_files import write_json
from jaxpose.errors import UsageError, run_main
from jaxpose.evaluation import coco_files, posetrack, voc_files
from jaxpose.evaluation.posetrack_table import json_scores, latex_rows, text_table

_JSON = flags.DEFINE_string("json", None, "File to write the scores to.")
_RULE = flags.DEFINE_enum("rule", "11point", ["11point", "area"], "AP of voc: 2007's or 2010's.")
_IOU = flags.DEFINE_float("iou_threshold", 0.5, "Least overlap of a match of voc.", 0.0, 1.0)
_IMAGE_SET = flags.DEFINE_string(
    "image_set", None, "List of a VOCdevkit to score; default that in the detections' file name."
)
_PLUS_ONE = flags.DEFINE_bool("plus_one", True, "Sides of voc's boxes are x2 - x1 + 1.")
_INCLUSIVE = flags.DEFINE_bool("inclusive", True, "An overlap equal to voc's threshold matches.")
_DIFFICULT = flags.DEFINE_enum("difficult", "ignore", ["ignore", "count"], "Such boxes of voc.")
_CLASSES = flags.DEFINE_list("classes", [], "Classes of voc; default all, or those of the files.")


def _posetrack(ground_truth: str, predictions: str) -> tuple[list[str], dict[str, Any]]:
    scores = posetrack.evaluate(ground_truth, predictions)
    protocol = {"measure": "poseval AP, 0.5 head sizes, percent"}
    lines = [*text_table(scores), "", *latex_rows(scores)]
    return lines, json_scores(scores) | {"protocol": protocol}


def _coco(ground_truth: str, results: str) -> tuple[list[str], dict[str, Any]]:
    scores = coco_files.evaluate(ground_truth, results)
    lines = [f"{name:6}{value:7.3f}" for name, value in scores.items() if isinstance(value, float)]
    lines.append(f"{scores['results']} results of {scores['kind']}, {scores['images']} images")
    measure = "OKS" if scores["kind"] == "keypoints" else "IoU"
    return lines, scores | {"protocol": {"measure": f"pycocotools, {measure}, 0..1"}}


def _voc(ground_truth: str, detections: str) -> tuple[list[str], dict[str, Any]]:
    scores = voc_files.evaluate(
        ground_truth,
        detections,
        iou_threshold=_IOU.value,
        rule="area" if _RULE.value == "area" else "11point",
        image_set=_IMAGE_SET.value,
        classes=_CLASSES.value,
        plus_one=_PLUS_ONE.value,
        inclusive=_INCLUSIVE.value,
        count_difficult=_DIFFICULT.value == "count",
    )
    lines = [f"{name:16}{value:7.2f}" for name, value in scores.items() if isinstance(value, float)]
    lines.append(
        f"{scores['detections']} detections, {scores['boxes']} boxes, {scores['images']} images"
    )
    protocol = {
        "measure": "VOC AP, percent",
        "plus_one": _PLUS_ONE.value,
        "inclusive": _INCLUSIVE.value,
        "difficult": _DIFFICULT.value,
        "rule": _RULE.value,
        "iou_threshold": _IOU.value,
        "image_set": _IMAGE_SET.value,
    }
    return lines, scores | {"protocol": protocol}


_KINDS: dict[str, Callable[[str, str], tuple[list[str], dict[str, Any]]]] = {
    "posetrack": _posetrack,
    "coco": _coco,
    "voc": _voc,
}


def main(argv: list[str]) -> None:
    """Score, print, write."""
    if len(argv) != 4 or argv[1] not in _KINDS:
        kinds = "|".join(_KINDS)
        raise UsageError(f"usage: score.py {kinds} GROUND_TRUTH PREDICTIONS [--json=FILE]")
    lines, scores = _KINDS[argv[1]](*argv[2:])
    print("\n".join(lines))
    if _JSON.value:
        paths = {"ground_truth": argv[2], "predictions": argv[3]}
        write_json(_JSON.value, scores | {"protocol": paths | scores["protocol"]})


if __name__ == "__main__":
    run_main(main)
