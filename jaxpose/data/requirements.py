"""What a person must fetch before a data set can be built: shown where records are missing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    """Where a data set comes from and how it is built.

    Attributes:
      homepage: where to get it; '' where nothing is fetched.
      where: what to fetch there, and under which conditions.
      tree: expected folder tree, one path a line.
      command: build command; SOURCE and DATA_DIR stand for folders.
      disk: of the records; time: of the conversion. Estimates but for `synthetic`.
    """

    homepage: str
    where: str
    tree: str
    command: str
    disk: str
    time: str


def _disk(count: int, what: str, kilobytes: float, measured: str) -> str:
    """Size of the records (canvas 512): a published count x the mean size of a few."""
    size = f"about {count * kilobytes / 1e6:.1f} GB"
    return f"{size} (estimate: {count:,} {what} x {kilobytes:g} kB, measured on {measured})"


def _time(pictures: int, milliseconds: float, measured: str) -> str:
    """Duration of the conversion, from the processor time that a few pictures took."""
    minutes = max(1, round(pictures * milliseconds / 2 / 60_000))
    rate = f"{pictures:,} pictures x {milliseconds:g} ms of a core, measured on {measured}"
    return f"about {minutes} min on 2 cores, beside reading the disk (estimate: {rate})"


def _command(dataset: str, options: str = "") -> str:
    folders = f"--source=SOURCE --data_dir=DATA_DIR{options}"
    return f"python tools/build_records.py {dataset} {folders}"


REQUIREMENTS = {
    "mpii": Requirement(
        homepage="http://human-pose.mpi-inf.mpg.de",
        where="images (12.9 GB, as the site says) and annotations (Matlab), for research",
        tree="mpii_human_pose_v1_u12_1.mat or annot/train.json and annot/valid.json\nimages/*.jpg",
        command=_command("mpii"),
        disk=_disk(25_204, "people of the usual train and val", 33, "5 of them"),
        time=_time(25_204, 6, "5 of them"),
    ),
    "posetrack17": Requirement(
        homepage="https://posetrack.net",
        where="PoseTrack 2017 images and annotations, after registration, for research",
        tree="annotations/train/*.json (or .mat)\nannotations/val/*.json (or .mat)\n"
        "images named in the annotations, relative to SOURCE",
        command=_command("posetrack17"),
        disk=_disk(120_000, "people, as PoseTrack is described,", 64, "14 of PoseTrack18"),
        time=_time(20_000, 37, "3 of PoseTrack18 with 14 people"),
    ),
    "posetrack18": Requirement(
        homepage="https://posetrack.net",
        where="PoseTrack 2018 images and annotations, after registration, for research",
        tree="annotations/train/*.json\nannotations/val/*.json\n"
        "images/{train,val}/VIDEO/*.jpg (as named in the annotations)",
        command=_command("posetrack18"),
        disk=_disk(120_000, "people, as PoseTrack is described,", 64, "14 of PoseTrack18"),
        time=_time(20_000, 37, "3 of PoseTrack18 with 14 people"),
    ),
    "coco_keypoints": Requirement(
        homepage="https://cocodataset.org/#download",
        where="2017 train images (18 GB), val images (1 GB), train/val annotations (241 MB); "
        "or any set in COCO's keypoint format",
        tree="annotations/person_keypoints_{train,val}2017.json with train2017/ and val2017/\n"
        "or annotations/person_keypoints_{train,val}.json with images/",
        command=_command("coco_keypoints"),
        disk=_disk(150_000, "people of train2017", 53, "12 of COCO"),
        time=_time(64_115, 8.5, "4 of COCO with 12 people"),
    ),
    "coco_detection": Requirement(
        homepage="https://cocodataset.org/#download",
        where="2017 train images (18 GB), val images (1 GB), train/val annotations (241 MB); "
        "or any set in COCO's detection format",
        tree="annotations/instances_{train,val}2017.json with train2017/ and val2017/\n"
        "or annotations/{instances,person_keypoints}_{train,val}.json with images/",
        command=_command("coco_detection", " --config=images"),
        disk=_disk(118_287, "pictures of train2017", 79, "4 of them"),
        time=_time(118_287, 5.9, "4 of them"),
    ),
    "voc": Requirement(
        homepage="http://host.robots.ox.ac.uk/pascal/VOC",
        where="VOC2007 trainval and test with annotations, VOC2012 trainval, in one VOCdevkit "
        "folder, which is SOURCE",
        tree="{VOC2007,VOC2012}/Annotations/*.xml\n"
        "VOC2007/ImageSets/Main/{trainval,test}.txt and VOC2012/ImageSets/Main/trainval.txt\n"
        "{VOC2007,VOC2012}/JPEGImages/*.jpg",
        command=_command("voc", " --config=images"),
        disk=_disk(21_503, "pictures of 07 and 12", 35, "2 of them"),
        time=_time(21_503, 3.3, "2 of them"),
    ),
    "synthetic": Requirement(
        homepage="",
        where="nothing to fetch: the data set is drawn",
        tree="annotations/{train,val}/*.json as PoseTrack18, where it was drawn before",
        command="python tools/build_records.py synthetic --data_dir=DATA_DIR",
        disk="26 MB of records, 16 MB of drawings",
        time="half a minute on 2 cores",
    ),
}
