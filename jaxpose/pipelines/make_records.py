"""Records that a run makes for itself: of drawn people, or of a user's own COCO-format files."""

import os
import shutil
from pathlib import Path

from ml_collections import ConfigDict
from tqdm import tqdm

from jaxpose.data.manifest import record_folder
from jaxpose.data.sources import Source
from jaxpose.errors import DataError, UsageError
from jaxpose.pipelines.record_sets import RECORDS, data_folder


def make_records(config: ConfigDict) -> None:
    """Convert the drawn or custom set of a config, where it names one."""
    from jaxpose.data.build import build

    custom, drawn = config.data.custom, config.data.synthetic
    if drawn.train_videos:
        _draw(config)
    elif custom.train_json and _may_build(config):
        images, scored = custom.train_images, custom.validation_json
        if not images or not scored:
            raise UsageError(
                "config.data.custom needs train_json, train_images and validation_json "
                "(and validation_images where those lie elsewhere)"
            )
        source = Source(
            Path(images),
            train=Path(custom.train_json),
            validation=Path(scored),
            images=Path(images),
            validation_images=Path(custom.validation_images or images),
        )
        build(
            "coco_detection" if config.task == "detection" else "coco_keypoints",
            source,
            data_folder(config),
            config=RECORDS[config.task],
            canvas=2 * max(config.input_size),
            format=config.data.source,
            name=custom.name,
            skip_bad=custom.skip_bad,
            allow_missing=custom.allow_missing,
        )


def _may_build(config: ConfigDict) -> bool:
    """Whether the custom set's files are there; without them, its records must be."""
    custom = config.data.custom
    folder = record_folder(
        data_folder(config), custom.name, RECORDS[config.task], config.data.source
    )
    return Path(custom.train_json).exists() or not folder.exists()


def _draw(config: ConfigDict) -> None:
    """Draw the synthetic set in the original formats of its data sets, and convert those."""
    from jaxpose.annotations.synthetic import write_dataset
    from jaxpose.data.build import build
    from jaxpose.data.tfrecords import load_tensorflow

    if config.data.source == "records":
        load_tensorflow()  # before all is drawn
    drawn, root = config.data.synthetic, data_folder(config)
    names = tuple(dict.fromkeys([*config.data.train, config.data.eval]))
    source = root / "drawn"
    marker, settings = source / "complete", f"seed {config.seed}, {drawn.to_json(sort_keys=True)}"
    if marker.exists() and marker.read_text() != settings:
        raise DataError(f"{source}: drawn with other settings; delete {root} to draw it again")
    if not marker.exists():
        videos = drawn.train_videos + drawn.validation_videos
        shutil.rmtree(source, ignore_errors=True)  # half drawn, by a run that was killed
        with tqdm(total=videos, unit="video", desc="draw") as progress:
            write_dataset(
                source,
                seed=config.seed,
                train_videos=drawn.train_videos,
                val_videos=drawn.validation_videos,
                frames_per_video=drawn.frames,
                formats=tuple(config.data.train),
                val_formats=(config.data.eval,),
                processes=os.cpu_count() or 1,
                progress=progress.update,
            )
        marker.write_text(settings)
    for name in names:
        build(
            name,
            source / name,
            root,
            config=RECORDS[config.task],
            canvas=drawn.canvas,
            format=config.data.source,
        )
