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
        lines += how_to_get(name, data_dir, source, RECORDS[config.task])
    lines.append("or try the same network on drawn people: add :smoke to the config's name")
    return "\n".join(lines)


def how_to_get(name: str, data_dir: Path, source: str, kind: str = "people") -> list[str]:
    """Where a data set comes from, its expected folder tree, build command, disk and time."""
    if name not in REQUIREMENTS:
        own = "coco_keypoints" if kind == "people" else "coco_detection --config=images"
        build = f"build_records.py {own} --name={name} --data_dir={data_dir}"
        return [f"{name}: a set of your own; name its files in config.data.custom, or {build}"]
    need = REQUIREMENTS[name]
    command = need.command.replace("DATA_DIR", str(data_dir))
    if kind == "images" and "--config=images" not in command:
        command += " --config=images"
    if source != "records":
        command += f" --format={source}"
    tree = "".join(f"\n      {line}" for line in need.tree.splitlines())
    return [
        f"{name}: {need.where}{f' ({need.homepage})' if need.homepage else ''}",
        f"    expected in SOURCE:{tree}",
        f"    build: {command}",
        f"    disk: {need.disk}; time: {need.time}",
    ]
