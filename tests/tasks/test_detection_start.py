"""Base weights named in a config."""

import numpy as np
import pytest

from jaxpose.defaults import detection_config
from jaxpose.tasks import make_task

VGG_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG_CHANNELS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_base_weights_are_turned_to_the_channel_order_of_the_images(channels, tmp_path, capsys):
    """Reduced VGG16 comes from Caffe, whose images are blue, green, red."""
    rng, weights, inside = np.random.default_rng(0), {}, 3
    for place, outside in zip(VGG_PLACES, VGG_CHANNELS, strict=True):
        shape = (outside, inside, 3, 3)
        weights |= {f"{place}.weight": rng.random(shape, np.float32), f"{place}.bias": shape[0]}
        inside = outside
    weights |= {"31.weight": np.zeros((1024, 512, 3, 3), np.float32), "31.bias": 1024}
    weights |= {"33.weight": np.zeros((1024, 1024, 1, 1), np.float32), "33.bias": 1024}
    full = {n: np.zeros(v, np.float32) if n.endswith("bias") else v for n, v in weights.items()}
    np.savez(tmp_path / "reduced.npz", **full)
    config = detection_config()
    config.channels = channels
    config.model.base_weights = str(tmp_path / "reduced.npz")
    found = make_task(config).initial_value("vgg/conv1_1/kernel", (3, 3, 3, 64), rng)
    caffe = full["0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(found, caffe if channels == "bgr" else caffe[:, :, ::-1])
    assert ("conv1_1 turned from bgr to rgb" in capsys.readouterr().out) == (channels == "rgb")
