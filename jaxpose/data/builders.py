"""TFDS builders; importing this module registers their names with `tfds.load`.

`tfds.load` finds what tools/build_records.py built under the same `data_dir`, or converts the
folder given as TFDS's manual directory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from jaxpose.annotations.schema import Rejections
from jaxpose.data.build import finish
from jaxpose.data.convert import convert_split
from jaxpose.data.manifest import FILE_NAME, read_manifest
from jaxpose.data.manifest import VERSION as RECORDS_VERSION
from jaxpose.data.plan import Plan, make_plan
from jaxpose.data.records import Field, Record, record_fields
from jaxpose.data.requirements import REQUIREMENTS
from jaxpose.data.sources import Source, drawn_source, read_source
from jaxpose.data.tfds_writing import CountedDownloadConfig, CutByCount, SameBytes
from jaxpose.skeletons import COCO, MPII, NO_JOINTS, POSETRACK17, POSETRACK18, Skeleton

_KEY_RANGE = 2**128  # TFDS sorts by keys of 128 bits


_PEOPLE = tfds.core.BuilderConfig(
    name="people", description="one annotated person a record, pre-cropped"
)
_IMAGES = tfds.core.BuilderConfig(
    name="images", description="whole frames with all their persons or objects, reduced to fit"
)


def _feature(field: Field) -> tfds.features.FeatureConnector:
    if field.kind == "jpeg":
        return tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
    if field.kind == "str":
        text = tfds.features.Text()
        return tfds.features.Sequence(text) if field.shape else text
    return tfds.features.Tensor(shape=field.shape, dtype=field.dtype)


class Records(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Builder of one data set; the subclasses differ in name, joints and source layout.

    Args:
      plan: what to convert; without it, the manual directory is read.
      canvas: side of the canvas in px where the manual directory is read.
      joints: number of joints of a custom set that is not built yet.
      kwargs: of `tfds.core.GeneratorBasedBuilder`.
    """

    VERSION = tfds.core.Version(RECORDS_VERSION)
    RELEASE_NOTES = {RECORDS_VERSION: "First version."}
    BUILDER_CONFIGS = [_PEOPLE, _IMAGES]
    # Nothing is downloaded, so there are no checksums to look for beside this file. (TFDS 4.9.10
    # looks with a package, importlib_resources, that it does not install.)
    code_path = None
    source_name = ""
    skeleton: Skeleton = COCO

    def __init__(
        self,
        *,
        plan: Plan | None = None,
        canvas: int = 512,
        joints: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._plan = plan
        self._canvas = canvas if plan is None else plan.canvas
        self._joints = joints
        self.progress = self.beam = False
        if plan is not None:
            self.name = plan.dataset
        super().__init__(**kwargs)

    def _number_of_joints(self) -> int:
        if self._plan is not None:
            return self._plan.skeleton.size
        if self._joints is not None:
            return self._joints
        # A custom set keeps its own joints, also under the name of its format.
        built = Path(self.data_dir) / FILE_NAME
        return read_manifest(built.parent).skeleton.size if built.is_file() else self.skeleton.size

    def _info(self) -> tfds.core.DatasetInfo:
        fields = record_fields(self.builder_config.name, self._number_of_joints())
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{self.builder_config.description} (jaxpose records)",
            features=tfds.features.FeaturesDict({k: _feature(f) for k, f in fields.items()}),
            homepage=REQUIREMENTS[self.source_name].homepage,
            # The records come in the order that training relies on.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        if self._plan is None:
            self._plan = self._plan_of(self._source(dl_manager))
        examples = self._through_beam if self.beam else self._generate_examples
        return {split: examples(split) for split in self._plan.splits}

    def _source(self, dl_manager: tfds.download.DownloadManager) -> Source:
        return Source(Path(dl_manager.manual_dir))

    def _plan_of(self, source: Source) -> Plan:
        rejections = Rejections()
        splits = read_source(self.source_name, source, rejections)
        return make_plan(self.name, self.builder_config.name, self._canvas, splits, rejections)

    def _generate_examples(self, split: str) -> Iterator[tuple[int, Record]]:
        assert self._plan is not None
        # Keys keep the order of the records and spread over the whole range of TFDS's keys, which
        # it cuts into buckets that must fit into memory.
        step = _KEY_RANGE // self._plan.most_records(split)
        for number, record in enumerate(convert_split(self._plan, split, self.progress)):
            yield number * step, record

    def _through_beam(self, split: str) -> Any:
        from jaxpose.data.beam_conversion import ConvertSplit

        assert self._plan is not None
        return ConvertSplit(self._plan, split, Path(self.data_dir))

    def _example_writer(self) -> Any:
        return SameBytes(super()._example_writer())

    def _download_and_prepare(
        self, dl_manager: tfds.download.DownloadManager, download_config: Any
    ) -> None:
        config = CountedDownloadConfig(**vars(download_config), cut=CutByCount(self._canvas))
        super()._download_and_prepare(dl_manager, config)
        # Still in TFDS's temporary folder: the manifest appears in the same rename as the shards.
        assert self._plan is not None
        if self.beam:
            from jaxpose.data.beam_conversion import account

            for split in self._plan.splits:
                account(self._plan, split, Path(self.data_dir))
        written = {
            split: list(zip(sorted(info.filenames), info.shard_lengths, strict=True))
            for split, info in self.info.splits.items()
        }
        finish(Path(self.data_dir), self._plan, "records", written)


class Mpii(Records):
    """MPII Human Pose, single images."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = REQUIREMENTS["mpii"].where
    source_name = "mpii"
    skeleton = MPII


class Posetrack17(Records):
    """PoseTrack17 videos."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = REQUIREMENTS["posetrack17"].where
    source_name = "posetrack17"
    skeleton = POSETRACK17


class Posetrack18(Records):
    """PoseTrack18 videos."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = REQUIREMENTS["posetrack18"].where
    source_name = "posetrack18"
    skeleton = POSETRACK18


class CocoKeypoints(Records):
    """COCO keypoints, or any set in its format."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = REQUIREMENTS["coco_keypoints"].where
    source_name = "coco_keypoints"
    skeleton = COCO


class CocoDetection(Records):
    """Boxes of COCO's 80 classes, or of any set in its format."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = REQUIREMENTS["coco_detection"].where
    BUILDER_CONFIGS = [_IMAGES]
    source_name = "coco_detection"
    skeleton = NO_JOINTS


class Voc(Records):
    """PASCAL VOC 2007 and 2012: boxes of 20 classes."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = REQUIREMENTS["voc"].where
    BUILDER_CONFIGS = [_IMAGES]
    source_name = "voc"
    skeleton = NO_JOINTS


class Synthetic(Records):
    """Drawn people in drawn videos; drawn here unless the manual directory holds some."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = REQUIREMENTS["synthetic"].where
    source_name = "synthetic"
    skeleton = POSETRACK18

    def _source(self, dl_manager: tfds.download.DownloadManager) -> Source:
        try:
            manual = Path(dl_manager.manual_dir)
        except AssertionError:  # TFDS's word for an absent or empty folder
            return drawn_source(Path(self.data_dir_root))
        # The default folder is shared by all data sets.
        drawn = manual if (manual / "annotations").is_dir() else None
        return Source(drawn) if drawn else drawn_source(Path(self.data_dir_root))


BUILDERS = {
    builder.source_name: builder
    for builder in (Mpii, Posetrack17, Posetrack18, CocoKeypoints, CocoDetection, Voc, Synthetic)
}
