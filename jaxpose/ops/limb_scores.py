"""How well every two peaks make a limb: line integrals through part affinity fields."""

import jax
import jax.numpy as jnp
import numpy as np


def limb_scores(
    fields: jax.Array,
    points: jax.Array,
    valid: jax.Array,
    limbs: np.ndarray,
    heights: jax.Array,
    samples: int = 10,
    sample_threshold: float = 0.05,
    sample_share: float = 0.8,
    long_limb: float = 0.5,
) -> jax.Array:
    """Score of a limb from every peak of its first part to every peak of its second.

    The mean over samples on the straight line of field times unit vector of the limb, minus what
    it is too long: min(long_limb * height / length - 1, 0). A sample is the field's pixel nearest
    to it. (Cao et al. 2017, equation 10; the distance prior and the thresholds are of CMU's code.)

    Args:
      fields: [B, 2 L, H, W], x and y of each limb in turn.
      points: [B, K, P, 2] px.
      valid: bool [B, K, P].
      limbs: int [L, 2], first and second part.
      heights: [B] of the frames, px.
      samples: on a line, both ends among them.
      sample_threshold, sample_share: a limb needs more than this share of samples above this value.
      long_limb: share of the frame's height from which on length costs score.

    Returns:
      [B, L, P, P], 0 where there is no limb: a score that is not above 0, a peak that is not
      valid, or two peaks in one place.
    """
    start, end = points[:, limbs[:, 0], :, None], points[:, limbs[:, 1], None]
    both = valid[:, limbs[:, 0], :, None] & valid[:, limbs[:, 1], None]
    line = end - start
    length = jnp.sqrt((line**2).sum(-1))
    unit = line / jnp.maximum(length, jnp.finfo(line.dtype).tiny)[..., None]
    share = jnp.linspace(0, 1, samples, dtype=points.dtype)[:, None]
    x, y = jnp.moveaxis(start[..., None, :] + share * line[..., None, :], -1, 0)
    found_x, found_y = _nearest(fields, x, y)
    along = found_x * unit[..., :1] + found_y * unit[..., 1:]
    reach = long_limb * heights[:, None, None, None] / jnp.maximum(length, 1)
    scores = along.mean(-1) + jnp.minimum(reach - 1, 0)
    agreeing = (along > sample_threshold).sum(-1) > sample_share * samples
    return jnp.where(both & agreeing & (length > 0) & (scores > 0), scores, 0)


def _nearest(fields: jax.Array, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The fields' x and y parts at positions [B, L, P, P, S], each in the fields of its limb."""
    batch, _, height, width = fields.shape
    column = jnp.clip(jnp.round(x), 0, width - 1).astype(jnp.int32)
    row = jnp.clip(jnp.round(y), 0, height - 1).astype(jnp.int32)
    index = (row * width + column).reshape(batch, x.shape[1], -1)
    pairs = fields.reshape(batch, -1, 2, height * width)
    both = (jnp.take_along_axis(pairs[:, :, part], index, axis=2) for part in (0, 1))
    found_x, found_y = (values.reshape(x.shape) for values in both)
    return found_x, found_y
