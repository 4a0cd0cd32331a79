"""Grouping beside a twin of loops over pixels, pairs and people, on drawn tiny frames."""

import jax
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from jaxpose.ops.assembly import NO_PEAK, assemble
from jaxpose.ops.grouping import Scale, find_candidates

# A root with two chains, and a limb that closes a circle.
LIMBS = np.array([[0, 1], [1, 2], [0, 3], [3, 4], [2, 4]])
PARTS, STRIDE, CELLS, CASES = 5, 4, (7, 8), 200
OPTIONS = {"stride": STRIDE, "sigma": 1.0, "peak_threshold": 0.15, "max_peaks": 4}
RULES = {"min_parts": 3, "min_mean_score": 0.45}


def drawn(seed):
    """Maps [h, w, K] and fields [h, w, 2 L] of a frame: nobody to four people, noise, or both."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: CELLS[0], : CELLS[1]]
    maps, fields = np.zeros((*CELLS, PARTS)), np.zeros((*CELLS, 2 * len(LIMBS)))
    for _ in range(seed % 5):
        points = rng.uniform(0, 1, (PARTS, 2)) * (CELLS[1] - 1, CELLS[0] - 1)
        there = rng.random(PARTS) > 0.2
        for part in np.flatnonzero(there):
            square = (x - points[part, 0]) ** 2 + (y - points[part, 1]) ** 2
            maps[..., part] = np.maximum(maps[..., part], np.exp(-square / 2))
        for limb, (a, b) in enumerate(LIMBS):
            line = points[b] - points[a]
            unit = line / np.linalg.norm(line)
            off_x, off_y = x - points[a, 0], y - points[a, 1]
            along = (off_x * unit[0] + off_y * unit[1]) / np.linalg.norm(line)
            near = (np.abs(off_x * unit[1] - off_y * unit[0]) < 1.2) & (np.abs(along - 0.5) < 0.8)
            if there[a] and there[b]:
                fields[near, 2 * limb : 2 * limb + 2] += unit
    loud = (0.02, 0.2, 0.5)[seed % 3]
    maps += loud * rng.random(maps.shape)
    return maps, fields + 2 * loud * rng.normal(size=fields.shape) * (seed % 2)


def cubic_line(values, count, step):
    """OpenCV's cubic samples of one line, tap by tap."""
    out = []
    for sample in range(count):
        position = (sample + 0.5) * step - 0.5
        first = int(np.floor(position))
        t = position - first
        outer = [-0.75 * (d**3 - 5 * d**2 + 8 * d - 4) for d in (1 + t, 2 - t)]
        inner = 1.25 * t**3 - 2.25 * t**2 + 1
        weights = (outer[0], inner, 1 - outer[0] - outer[1] - inner, outer[1])
        taps = [min(max(first + k, 0), len(values) - 1) for k in (-1, 0, 1, 2)]
        out.append(sum(w * values[tap] for w, tap in zip(weights, taps, strict=True)))
    return np.array(out)


def enlarged(maps, size, step):
    wide = cubic_line(np.moveaxis(maps, 1, 0), size[1], step)
    return cubic_line(np.moveaxis(wide, 1, 0), size[0], step)


def twin_peaks(raw):
    """Of one part: (x, y, score) by falling height of the smoothed map."""
    smooth = gaussian_filter(raw, OPTIONS["sigma"])
    height, width = smooth.shape
    found = []
    for y, x in np.ndindex(height, width):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [smooth[r, c] for r, c in around if 0 <= r < height and 0 <= c < width]
        if smooth[y, x] > OPTIONS["peak_threshold"] and smooth[y, x] > max(inside):
            found.append((smooth[y, x], (x, y, raw[y, x])))
    return [peak for _, peak in sorted(found, reverse=True)][: OPTIONS["max_peaks"]]


def twin_limb(field, start, end, height):
    """Score of a limb between two peaks, None where there is none."""
    line = np.array(end[:2], float) - start[:2]
    length = np.hypot(*line)
    if length == 0:
        return None
    along = []
    for place in np.linspace(start[:2], end[:2], 10):
        column, row = (round(value) for value in place.tolist())
        along.append(field[row, column] @ line / length)
    score = np.mean(along) + min(0.5 * height / length - 1, 0)
    return score if sum(value > 0.05 for value in along) > 8 and score > 0 else None


def twin_people(peaks, limb_scores):
    """People as [parts to peaks, score, count], by the rules of the ports."""
    people = []
    for limb, (first, second) in enumerate(LIMBS.tolist()):
        ranked = sorted(limb_scores[limb].items(), key=lambda item: -item[1])
        used = set()
        for (a, b), score in ranked:
            if ("first", a) in used or ("second", b) in used:
                continue
            used |= {("first", a), ("second", b)}
            here, there = peaks[first][a][2], peaks[second][b][2]
            mine = [p for p in people if p[0].get(first) == a or p[0].get(second) == b][:2]
            if not mine and limb < len(LIMBS) - 1:
                people.append([{first: a, second: b}, here + there + score, 2])
            elif len(mine) == 2 and not set(mine[0][0]) & set(mine[1][0]):
                mine[0][0].update(mine[1][0])
                mine[0][1] += mine[1][1] + score
                mine[0][2] += mine[1][2]
                people = [p for p in people if p is not mine[1]]
            elif mine and (len(mine) == 2 or mine[0][0].get(second) != b):
                mine[0][0][second] = b
                mine[0][1] += there + score
                mine[0][2] += 1
    enough, mean = RULES["min_parts"], RULES["min_mean_score"]
    return [p for p in people if p[2] >= enough and p[1] / p[2] >= mean]


def twin(maps, fields, scale):
    size = tuple(int(STRIDE * cells / scale) for cells in CELLS)
    raw, field = (enlarged(enlarged_once(m), size, scale) for m in (maps, fields))
    peaks = [twin_peaks(raw[..., part]) for part in range(PARTS)]
    limbs = []
    for limb, (first, second) in enumerate(LIMBS):
        own = field[..., 2 * limb : 2 * limb + 2]
        pairs = {
            (a, b): twin_limb(own, peaks[first][a], peaks[second][b], size[0])
            for a, b in np.ndindex(len(peaks[first]), len(peaks[second]))
        }
        limbs.append({pair: score for pair, score in pairs.items() if score is not None})
    return peaks, limbs, twin_people(peaks, limbs)


def enlarged_once(maps):
    return enlarged(maps, tuple(STRIDE * cells for cells in CELLS), 1 / STRIDE)


@pytest.fixture(scope="module", params=[1.0, 0.5], ids=["same size", "shown at half size"])
def cases(request):
    """Ours and the twin's, of every case; in float64, where nothing is near enough to tip over."""
    scale, count = request.param, CASES if request.param == 1 else 20
    frames = [drawn(seed) for seed in range(count)]
    size = tuple(int(STRIDE * cells / scale) for cells in CELLS)

    def run(maps, fields):
        return find_candidates([Scale(maps, fields, scale)], LIMBS, size, **OPTIONS)

    with jax.enable_x64(True):
        batch = (np.stack(values) for values in zip(*frames, strict=True))
        ours = jax.tree.map(np.asarray, jax.jit(run)(*batch))
    return ours, [twin(*frame, scale) for frame in frames]


def test_peaks_are_the_twins(cases):
    ours, twins = cases
    for case, (peaks, _, _) in enumerate(twins):
        for part, wanted in enumerate(peaks):
            count = len(wanted)
            assert (ours.scores[case, part, count:] == 0).all()
            found = [*ours.points[case, part, :count].T, ours.scores[case, part, :count]]
            wanted = np.array(wanted).reshape(-1, 3)
            np.testing.assert_allclose(np.stack(found, 1), wanted, rtol=0, atol=1e-9)


def test_limbs_are_the_twins(cases):
    ours, twins = cases
    for case, (_, limbs, _) in enumerate(twins):
        wanted = np.zeros_like(ours.limb_scores[case])
        for limb, pairs in enumerate(limbs):
            for pair, score in pairs.items():
                wanted[(limb, *pair)] = score
        np.testing.assert_allclose(ours.limb_scores[case], wanted, rtol=0, atol=1e-9)


def test_people_are_the_twins(cases):
    ours, twins = cases
    for case, (_, _, people) in enumerate(twins):
        found = assemble(ours.scores[case], ours.limb_scores[case], LIMBS, **RULES)
        wanted = [[person[0].get(part, NO_PEAK) for part in range(PARTS)] for person in people]
        assert found.peaks.tolist() == wanted
        assert found.counts.tolist() == [person[2] for person in people]
        assert found.scores.tolist() == pytest.approx([person[1] for person in people])


def test_the_cases_are_worth_it(cases):
    _, twins = cases
    counts = [len(people) for _, _, people in twins]
    assert min(counts) == 0 and max(counts) >= 2
    full = [len(found) == OPTIONS["max_peaks"] for peaks, _, _ in twins for found in peaks]
    assert any(full) and not all(full)
    assert any(person[2] < PARTS for _, _, people in twins for person in people)
    replaced = [p for _, _, people in twins for p in people if p[2] > len(p[0])]
    assert replaced or len(twins) < CASES
