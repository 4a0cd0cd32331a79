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
      disk: of the source and of the records; time: of the conversion. Unknown: 'not measured'.
    """

    homepage: str
    where: str
    tree: str
    command: str
    disk: str
    time: str


def _command(dataset: str) -> str:
    return f"python tools/build_records.py {dataset} --source=SOURCE --data_dir=DATA_DIR"


REQUIREMENTS = {
    "mpii": Requirement(
        homepage="http://human-pose.mpi-inf.mpg.de",
        where="images (12.9 GB, as the site says) and annotations (Matlab), for research",
        tree="mpii_human_pose_v1_u12_1.mat or annot/train.json and annot/valid.json\nimages/*.jpg",
        command=_command("mpii"),
        disk="records: not measured",
        time="not measured",
    ),
    "posetrack17": Requirement(
        homepage="https://posetrack.net",
        where="PoseTrack 2017 images and annotations, after registration, for research",
        tree="annotations/train/*.json (or .mat)\nannotations/val/*.json (or .mat)\n"
        "images named in the annotations, relative to SOURCE",
        command=_command("posetrack17"),
        disk="not measured",
        time="not measured",
    ),
    "posetrack18": Requirement(
        homepage="https://posetrack.net",
        where="PoseTrack 2018 images and annotations, after registration, for research",
        tree="annotations/train/*.json\nannotations/val/*.json\n"
        "images/{train,val}/VIDEO/*.jpg (as named in the annotations)",
        command=_command("posetrack18"),
        disk="not measured",
        time="not measured",
    ),
    "coco_keypoints": Requirement(
        homepage="https://cocodataset.org/#download",
        where="2017 train images (18 GB), val images (1 GB), train/val annotations (241 MB); "
        "or any set in COCO's keypoint format",
        tree="annotations/person_keypoints_{train,val}2017.json with train2017/ and val2017/\n"
        "or annotations/person_keypoints_{train,val}.json with images/",
        command=_command("coco_keypoints"),
        disk="records: not measured",
        time="not measured",
    ),
    "synthetic": Requirement(
        homepage="",
        where="nothing to fetch: the data set is drawn",
        tree="annotations/{train,val}/*.json as PoseTrack18, where it was drawn before",
        command="python tools/build_records.py synthetic --data_dir=DATA_DIR",
        disk="not measured",
        time="not measured",
    ),
}
