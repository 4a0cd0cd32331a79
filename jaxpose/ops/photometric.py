"""SSD's photometric distortion on the device: brightness, contrast, saturation and hue.

After Caffe's `im_transforms.cpp` (branch ssd of weiliu89/caffe), on float RGB images of 0..255.
"""

import jax
import jax.numpy as jnp

Range = tuple[float, float]


def distort(
    key: jax.Array,
    images: jax.Array,
    *,
    probability: float = 0.5,
    brightness: float = 32.0,
    contrast: Range = (0.5, 1.5),
    saturation: Range = (0.5, 1.5),
    hue: float = 36.0,
) -> jax.Array:
    """Distort the colours of each image, as Caffe's SSD does (`ApplyDistort`).

    Brightness, then contrast, saturation, hue or saturation, hue, contrast with equal chance; each
    is applied or not, independently. Channels are never permuted (Caffe's random_order_prob is 0).

    As Caffe's uint8 images do, values saturate at 0 and 255 after every step, but they are not
    rounded; and hue goes round the circle (Caffe's 8-bit hue stops at red when it is lowered).

    Args:
      key: one PRNG key.
      images: float [B, H, W, 3] RGB in 0..255.
      probability: of each of the four changes.
      brightness: added value is U(-brightness, brightness).
      contrast: range of the factor of all values.
      saturation: range of the factor of HSV's saturation.
      hue: degrees; the shift is U(-hue, hue). Caffe's 18 counts steps of its 8-bit hue (0..180),
        hence 36; ssd.pytorch applies the same 18 to degrees.

    Returns:
      float [B, H, W, 3] RGB in 0..255, dtype of `images`.
    """
    shape = (len(images), 1, 1)
    chance, amount = jax.random.uniform(key, (2, 5, *shape), images.dtype)  # one draw compiles fast
    drawn = chance < probability
    shift = jnp.where(drawn[0], _between(amount[0], (-brightness, brightness)), 0)
    gain = jnp.where(drawn[1], _between(amount[1], contrast), 1)
    colorfulness = jnp.where(drawn[2], _between(amount[2], saturation), 1)
    turn = jnp.where(drawn[3], _between(amount[3], (-hue, hue)), 0)
    early = chance[4] < 0.5
    gains = jnp.where(early, gain, 1), jnp.where(early, 1, gain)
    # Planes, stacked once at the end: XLA's CPU code computes a channel anew for every slice of it.
    planes = [images[..., channel] for channel in range(3)]
    planes = [jnp.clip(jnp.clip(plane + shift, 0, 255) * gains[0], 0, 255) for plane in planes]
    planes = shift_colors(planes[0], planes[1], planes[2], colorfulness, turn)
    return jnp.stack([jnp.clip(plane * gains[1], 0, 255) for plane in planes], -1)


def shift_colors(
    red: jax.Array, green: jax.Array, blue: jax.Array, saturation: jax.Array, hue: jax.Array
) -> list[jax.Array]:
    """Scale the HSV saturation of a colour and turn its hue; its value (maximum) stays.

    The hexcone model (Smith 1978; `colorsys`, OpenCV), without its division by the value: chroma,
    value times saturation, is what scales.

    Args:
      red, green, blue: float [...], not negative.
      saturation: factor, broadcast against [...]; the result saturates at the pure colour.
      hue: degrees, likewise.

    Returns:
      red, green and blue.
    """
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    # No `value == red`: compilers may compute a channel twice with other roundings, after which it
    # equals neither. Where two channels nearly tie, both choices give the same hue.
    reddest = (red >= green) & (red >= blue)
    greenest = ~reddest & (green >= blue)
    difference = jnp.where(reddest, green - blue, jnp.where(greenest, blue - red, red - green))
    start = jnp.where(reddest, 0, jnp.where(greenest, 2, 4))
    sextant = start + difference / jnp.where(chroma > 0, chroma, 1) + hue / 60
    chroma = jnp.minimum(chroma * saturation, value)
    channels = []
    for offset in (5, 3, 1):  # each channel is the same trapezoid, a third of the circle apart
        k = (sextant + offset) % 6
        channels.append(value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1))
    return channels


def _between(amount: jax.Array, bounds: Range) -> jax.Array:
    return bounds[0] + (bounds[1] - bounds[0]) * amount
