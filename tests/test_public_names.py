"""Names and parameters that scripts of users rely on: taking one away breaks them."""

import importlib
import inspect

import pytest

import jaxpose

NAMES = {
    "jaxpose.models.hourglass:StackedHourglass": "num_joints stacks blocks features stem",
    "jaxpose.models.ssd:SSD": "image_size num_classes",
    "jaxpose.models.openpose:OpenPose": "num_parts num_limbs stages",
    "jaxpose.models.pretrained:load_named_weights": "model weights source",
    "jaxpose.ops.heatmaps:render_heatmaps": "points_xy valid size sigma",
    "jaxpose.ops.heatmaps:decode_heatmaps": "maps quarter_offset",
    "jaxpose.ops.part_maps:confidence_maps": "points_xy valid size sigma merge",
    "jaxpose.ops.part_maps:affinity_fields": "points_xy valid limbs size width",
    "jaxpose.ops.affine:crop_matrix": "center scale resolution rotation",
    "jaxpose.ops.default_boxes:default_boxes": "image_size scales truncate_sizes clip",
    "jaxpose.ops.boxes:pairwise_iou": "a_xyxy b_xyxy",
    "jaxpose.ops.boxes:encode_offsets": "boxes_xyxy default_boxes_cxcywh",
    "jaxpose.ops.boxes:decode_offsets": "offsets default_boxes_cxcywh",
    "jaxpose.ops.matching:match": "boxes_xyxy valid default_boxes_cxcywh threshold mode",
    "jaxpose.ops.nms:nms": "boxes_xyxy scores iou_threshold max_outputs valid",
    "jaxpose.ops.grouping:find_candidates": "scales limbs size sizes",
    "jaxpose.ops.assembly:assemble": "peak_scores limb_scores limbs min_parts min_mean_score",
    "jaxpose.tasks.detection:multibox_loss": (
        "class_logits offsets labels target_offsets negative_ratio"
    ),
    "jaxpose.tasks.detection:detect": (
        "class_logits offsets default_boxes score_threshold iou_threshold pre_nms_top_k max_outputs"
    ),
    "jaxpose.evaluation.pckh:pckh": "predicted truth valid head_size threshold",
    "jaxpose.evaluation.voc:average_precision": (
        "detections ground_truth iou_threshold rule plus_one inclusive"
    ),
    "jaxpose.evaluation.posetrack:evaluate": "ground_truth_dir predictions_dir",
    "jaxpose:restore": "path step",
    "jaxpose:PoseEstimator.restore": "detector pose",
    "jaxpose.zoo:list": "",
    "jaxpose.zoo:path": "name",
    "jaxpose.zoo:Model": "name task joints classes input_size parameters bytes sha256 scores",
    "jaxpose.inference.people:Person": "box_xyxy score keypoints keypoint_scores joint_names",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_and_their_parameters_stay(name):
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    parameters = [p for p in inspect.signature(found).parameters if p not in ("self", "cls")]
    wanted = NAMES[name].split()
    assert parameters[: len(wanted)] == wanted


def test_every_public_name_is_there():
    for name in jaxpose.__all__:
        assert getattr(jaxpose, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jaxpose.nothing
