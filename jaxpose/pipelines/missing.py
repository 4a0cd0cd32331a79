"""What a user reads where records are missing: how to get each data set."""

from pathlib import Path

from ml_collections import ConfigDict

from jaxpose.data.requirements import REQUIREMENTS
from jaxpose.pipelines.record_sets import RECORDS, data_folder


def missing_message(config: ConfigDict, missing: list[str]) -> str:
    """What to do about data sets without records: where from, folder tree, build command."""
    data_dir, source = data_folder(config), config.data.source
    lines = [f"no {source} in {data_dir} for: {', '.join(missing)}"]
    for name in missing:
        posed = config.task != "detection"
        lines += how_to_get(name, data_dir, source, RECORDS[config.task], posed)
    lines.append("or try the same network on drawn people: add :smoke to the config's name")
    return "\n".join(lines)


def how_to_get(
    name: str, data_dir: Path, source: str, kind: str = "people", posed: bool = True
) -> list[str]:
    """Where a data set comes from, its expected folder tree, build command, disk and time.

    Args:
      kind: of records, 'people' or 'images'; posed: whether they need joints.
    """
    if name not in REQUIREMENTS:
        own = "coco_keypoints" if posed else "coco_detection"
        own += " --config=images" if kind == "images" else ""
        build = f"build_records.py {own} --name={name} --data_dir={data_dir}"
        return [f"{name}: a set of your own; name its files in config.data.custom, or {build}"]
    need = REQUIREMENTS[name]
    command = " ".join(build_words(name, str(data_dir), source, kind))
    tree = "".join(f"\n      {line}" for line in need.tree.splitlines())
    return [
        f"{name}: {need.where}{f' ({need.homepage})' if need.homepage else ''}",
        f"    expected in SOURCE:{tree}",
        f"    build: {command}",
        f"    disk: {need.disk}; time: {need.time}",
    ]


def build_words(
    name: str, data_dir: str, source: str, kind: str = "people", folder: str = "SOURCE"
) -> list[str]:
    """The command that builds the records of a known data set from its folder, word by word."""
    words = REQUIREMENTS[name].command.split()
    if kind == "images" and "--config=images" not in words:
        words.append("--config=images")
    if source != "records":
        words.append(f"--format={source}")
    return [word.replace("SOURCE", folder).replace("DATA_DIR", data_dir) for word in words]
