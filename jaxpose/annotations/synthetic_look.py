"""What a synthetic person wears: colours by skin, hair and garment, never by joint or side."""

from dataclasses import dataclass

import cv2
import numpy as np

Colour = tuple[int, int, int]

_SKINS = ((255, 219, 190), (241, 194, 150), (224, 172, 120), (198, 134, 86), (141, 85, 50))
_HAIRS = ((40, 30, 28), (85, 55, 35), (130, 90, 50), (205, 170, 100), (150, 70, 40), (150,) * 3)


@dataclass(frozen=True)
class Look:
    """Colours (RGB) and garments of one person.

    Attributes:
      sleeve, leg: fraction of the arm and of the leg that the garment covers.
      hairline: how low the hair reaches on the forehead; `long_hair` reaches the neck.
      bib: the shirt front bears a patch of the second colour.
      backpack: worn on the back, seen from behind and from the side.
      skirt: a skirt instead of trousers.
    """

    skin: Colour
    hair: Colour
    shirt: Colour
    second: Colour
    trousers: Colour
    shoes: Colour
    sleeve: float
    leg: float
    hairline: float
    long_hair: bool
    bib: bool
    backpack: bool
    skirt: bool


def draw_look(rng: np.random.Generator) -> Look:
    """Draw colours and garments of a person."""
    shirt, second, trousers, shoes = (_garment_colour(rng) for _ in range(4))
    return Look(
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        shirt=shirt,
        second=second,
        trousers=trousers,
        shoes=shoes,
        sleeve=float(rng.choice((0.0, 0.3, 0.5, 1.0))),
        leg=float(rng.choice((0.4, 1.0, 1.0))),
        hairline=rng.uniform(0.45, 0.7),
        long_hair=bool(rng.random() < 0.4),
        bib=bool(rng.random() < 0.85),
        backpack=bool(rng.random() < 0.25),
        skirt=bool(rng.random() < 0.15),
    )


def _garment_colour(rng: np.random.Generator) -> Colour:
    channels = (rng.integers(180), rng.integers(70, 240), rng.integers(80, 250))
    hsv = np.array(channels, np.uint8).reshape(1, 1, 3)
    red, green, blue = (int(c) for c in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0])
    return red, green, blue
