"""Where each data set's original files lie, and how they become splits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxpose.annotations.coco import read_coco_detection, read_coco_keypoints
from jaxpose.annotations.mpii import read_mpii_json, read_mpii_mat, split_validation
from jaxpose.annotations.posetrack17 import read_posetrack17
from jaxpose.annotations.posetrack18 import read_posetrack18
from jaxpose.annotations.posetrack_folder import annotation_files
from jaxpose.annotations.schema import AnnotationSet, Rejections
from jaxpose.annotations.synthetic import write_dataset
from jaxpose.annotations.voc import list_file, read_voc, voc_splits, xml_file
from jaxpose.data.parallel import available_cores
from jaxpose.data.plan import SourceSplit
from jaxpose.data.requirements import REQUIREMENTS
from jaxpose.data.staging import only_maker, staged, sweep
from jaxpose.errors import DataError, UsageError

DATASETS = (
    "mpii",
    "posetrack17",
    "posetrack18",
    "coco_keypoints",
    "coco_detection",
    "voc",
    "synthetic",
)
# Boxes without joints: nothing that config `people` could hold.
BOXES_ONLY = ("coco_detection", "voc")
MPII_MATLAB = "mpii_human_pose_v1_u12_1.mat"
Read = Callable[[Path, Rejections], AnnotationSet]


@dataclass(frozen=True)
class Source:
    """A folder in the expected layout, or its parts named one by one.

    Attributes:
      folder: root of the data set in the layout of `requirements.REQUIREMENTS`.
      train, validation: annotation file or folder of a split; given one, only those given count.
      images: folder that image names of both splits refer to.
      validation_images: the same of the validation split, where that differs.
      val_list: text file with one image name a line: MPII's validation images, where no file of
        their own holds them.
    """

    folder: Path
    train: Path | None = None
    validation: Path | None = None
    images: Path | None = None
    val_list: Path | None = None
    validation_images: Path | None = None

    def images_of(self, split: str, otherwise: Path) -> Path:
        """Folder of a split's images; `otherwise` where none is named."""
        named = self.validation_images if split == "validation" else None
        return named or self.images or otherwise

    def given(self) -> dict[str, Path]:
        """Annotations named explicitly, by split."""
        named = {"train": self.train, "validation": self.validation}
        return {split: path for split, path in named.items() if path is not None}


def read_source(dataset: str, source: Source, rejections: Rejections) -> dict[str, SourceSplit]:
    """Read the annotations of a source.

    Returns:
      By split name, `train` and `validation`; one that the source lacks is left out.

    Raises:
      DataError: the folder is not in the expected layout, or its annotations are bad.
      UsageError: a val_list for a data set other than MPII or beside a validation file, or files
        named one by one for VOC.
    """
    if source.val_list is not None and dataset != "mpii":
        raise UsageError(f"val_list splits mpii only, not {dataset}")
    if not source.folder.is_dir():
        raise DataError(f"{source.folder}: no such folder for {dataset}")
    readers = {
        "mpii": _mpii,
        "posetrack17": _posetrack17,
        "posetrack18": _posetrack18,
        "coco_keypoints": _coco_keypoints,
        "coco_detection": _coco_detection,
        "voc": _voc,
        "synthetic": _posetrack18,
    }
    return readers[dataset](source, rejections)


def drawn_source(data_dir: Path) -> Source:
    """The synthetic data set as PoseTrack18 in `data_dir`/synthetic_source, drawn if missing.

    Raises:
      DataError: another process is drawing it, or it cannot be written.
    """
    folder = data_dir / "synthetic_source"
    if not folder.exists():
        with only_maker(folder):
            sweep(folder)
            if not folder.exists():  # drawn by another process since
                with staged(folder) as staging:
                    write_dataset(staging, formats=("posetrack18",), processes=available_cores())
    return Source(folder / "posetrack18")


def _mpii(source: Source, rejections: Rejections) -> dict[str, SourceSplit]:
    folder = source.folder / "images"
    matlab = source.folder / MPII_MATLAB
    if matlab.is_file() and not source.given():
        sets = read_mpii_mat(matlab, source.val_list, rejections)
        return {
            split: SourceSplit(found, source.images_of(split, folder), (matlab,))
            for split, found in sets.items()
        }
    names = {"train": "annot/train.json", "validation": "annot/valid.json"}
    files = _chosen(source, {split: [source.folder / name] for split, name in names.items()})
    _require("mpii", source, files)
    own = _own_validation(source, files)
    sets = {split: read_mpii_json(file, rejections) for split, file in files.items()}
    sets = {split: replace(found, notes=found.notes + own) for split, found in sets.items()}
    if not own:
        sets = split_validation(sets["train"], source.val_list)
    parts = tuple(files.values())
    return {
        split: SourceSplit(
            found,
            source.images_of(split, folder),
            (files[split],) if split in files else parts,
        )
        for split, found in sets.items()
    }


def _own_validation(source: Source, files: Mapping[str, Path]) -> tuple[str, ...]:
    """Note on the file that holds MPII's validation people; () where one splits them off."""
    if "validation" not in files:
        return ()
    file = files["validation"]
    if source.val_list is not None:
        raise UsageError(
            f"val_list {source.val_list} has no use beside {file}, which holds the validation "
            "people already: leave it out, or name the training file alone (--train)"
        )
    inside = file.is_relative_to(source.folder)
    return (f"validation: {file.relative_to(source.folder).as_posix() if inside else file.name}",)


def _posetrack17(source: Source, rejections: Rejections) -> dict[str, SourceSplit]:
    return _videos("posetrack17", source, rejections, read_posetrack17, (".json", ".mat"))


def _posetrack18(source: Source, rejections: Rejections) -> dict[str, SourceSplit]:
    return _videos("posetrack18", source, rejections, read_posetrack18, (".json",))


def _videos(
    dataset: str, source: Source, rejections: Rejections, read: Read, suffixes: tuple[str, ...]
) -> dict[str, SourceSplit]:
    names = {"train": "annotations/train", "validation": "annotations/val"}
    folders = _chosen(source, {split: [source.folder / name] for split, name in names.items()})
    _require(dataset, source, folders)
    return {
        split: SourceSplit(
            read(path, rejections),
            source.images_of(split, source.folder),
            tuple(annotation_files(path, suffixes)),
        )
        for split, path in folders.items()
    }


def _coco_keypoints(source: Source, rejections: Rejections) -> dict[str, SourceSplit]:
    return _coco("coco_keypoints", source, rejections, read_coco_keypoints, ["person_keypoints"])


def _coco_detection(source: Source, rejections: Rejections) -> dict[str, SourceSplit]:
    kinds = ["instances", "person_keypoints"]
    return _coco("coco_detection", source, rejections, read_coco_detection, kinds)


def _coco(
    dataset: str, source: Source, rejections: Rejections, read: Read, kinds: Sequence[str]
) -> dict[str, SourceSplit]:
    """COCO's own folders, or the same files without the year and with one folder of images."""
    names = {"train": "train", "validation": "val"}
    annotations = source.folder / "annotations"
    official = {
        split: [annotations / f"{kind}_{name}2017.json" for kind in kinds]
        for split, name in names.items()
    }
    plain = {
        split: [annotations / f"{kind}_{name}.json" for kind in kinds]
        for split, name in names.items()
    }
    files = _chosen(source, {split: official[split] + plain[split] for split in names})
    _require(dataset, source, files)
    splits = {}
    for split, file in files.items():
        folder = f"{names[split]}2017" if file in official[split] else "images"
        images = source.images_of(split, source.folder / folder)
        splits[split] = SourceSplit(read(file, rejections), images, (file,))
    return splits


def _voc(source: Source, rejections: Rejections) -> dict[str, SourceSplit]:
    if source.given() or source.images or source.validation_images:
        raise UsageError("voc has a fixed layout: give the VOCdevkit folder as source, no parts")
    devkit = source.folder
    lists = voc_splits(devkit)
    _require("voc", source, {split: devkit for split in lists})
    return {
        split: SourceSplit(
            found,
            devkit,
            (
                *(list_file(devkit, *each) for each in lists[split]),
                *(xml_file(devkit, frame) for frame in found.frames),
            ),
        )
        for split, found in read_voc(devkit, rejections).items()
    }


def _chosen(source: Source, candidates: Mapping[str, list[Path]]) -> dict[str, Path]:
    """Annotations named explicitly, else the first candidate that exists, by split."""
    if source.given():
        return source.given()
    found = {
        split: [path for path in paths if path.exists()] for split, paths in candidates.items()
    }
    return {split: paths[0] for split, paths in found.items() if paths}


def _require(dataset: str, source: Source, found: Mapping[str, Path]) -> None:
    if not found:
        tree = REQUIREMENTS[dataset].tree.replace("\n", "; ")
        raise DataError(f"{source.folder}: no {dataset} annotations here; expected: {tree}")
