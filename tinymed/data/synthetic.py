"""A synthetic thin blood smear: one stained red cell an image, with or without a malaria parasite.

A parasite is what a microscopist looks for: a thin bluish ring with a dark chromatin dot on it, inside the cell.  Both
classes carry distractors of the same stain, sizes and places: platelets (soft granular discs), stain specks (dots),
fibres (open arcs without a dot).  What tells the classes apart is therefore structure, not the amount of purple, so a
classifier on raw pixels does little better than guessing while a small convolutional network learns it.
Image i depends on (seed, i, size, difficulty) alone, not on how many are made.
"""

from dataclasses import dataclass

import numpy as np

from .. import random
from ..errors import UserError
from .batched_uniform import uniform_rows, word_rows
from .dataset import Dataset

CLASSES = ["uninfected", "parasitized"]
DIFFICULTY = 0.4
CHUNK = 16  # images painted at a time: the working arrays stay in cache
OBJECTS = 4  # stained things in an image: a parasite or a distractor each
WORDS = 112
BACKGROUND, CELL = np.array([0.92, 0.88, 0.89]), np.array([0.82, 0.60, 0.65])
STAIN, CHROMATIN = np.array([0.44, 0.27, 0.58]), np.array([0.34, 0.10, 0.40])


def synthetic_smear(n: int, size: int = 64, seed: int = 0, difficulty: float = DIFFICULTY) -> Dataset:
    """Paint a synthetic thin blood smear: one red cell per image, with or without a malaria parasite.

    Image i depends on (seed, i, size, difficulty) alone, not on how many are made.

    Args:
        n: Number of images, at least 2.
        size: Side in pixels, at least 16.
        seed: The same seed gives the same images.
        difficulty: 0 (strong parasites, few distractors, little noise) to 1.  At the default `tinymed train` reaches
            .98 on 540 test images, a random forest on 32 px .72 (benchmarks/synthetic.py).

    Returns:
        uint8 RGB images as a data set of the classes uninfected (even places) and parasitized (odd).

    Raises:
        UserError: n, size or difficulty is out of range.

    Example:
        >>> synthetic_smear(4, size=16)
        Dataset(4 images, all, of synthetic smear, seed 0: uninfected 2, parasitized 2)
    """
    if n < 2 or size < 16 or not 0 <= difficulty <= 1:
        raise UserError(f"a synthetic smear takes n >= 2, size >= 16, difficulty 0 to 1; got {n}, {size}, {difficulty}")
    images = np.empty((n, size, size, 3), np.uint8)
    for start in range(0, n, CHUNK):
        indices = np.arange(start, min(start + CHUNK, n))
        images[indices] = paint(indices, size, seed, difficulty)
    return Dataset(images, np.arange(n) % 2, list(CLASSES), source=f"synthetic smear, seed {seed}")


class Numbers:
    """Uniform numbers handed out column by column, one per image: shape [n, 1, 1], ready to broadcast over pixels."""

    def __init__(self, rows: np.ndarray):
        self.rows, self.next = rows.astype(np.float32), 0

    def __call__(self, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Return the next number of each image, uniform in low...high."""
        column = self.rows[:, self.next, None, None]
        self.next += 1
        scaled: np.ndarray = np.float32(low) + np.float32(high - low) * column
        return scaled


@dataclass
class Scene:
    """The pictures being painted: color [n, 3, size, size]; pixel centres in 0...1: y [size, 1], x [1, size]."""

    color: np.ndarray
    y: np.ndarray
    x: np.ndarray
    pixel: float

    def blend(self, paint: np.ndarray, alpha: np.ndarray) -> None:
        """Lay `paint` [n, 3, ...] over the picture where alpha [n, size, size] says."""
        self.color += alpha[:, None] * (paint - self.color)


def paint(indices: np.ndarray, size: int, seed: int, difficulty: float) -> np.ndarray:
    """Return the images at `indices`: uint8 [n, size, size, 3]."""
    u = Numbers(uniform_rows(WORDS, seed, random.SYNTHETIC, indices))
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    scene = Scene(np.zeros((len(indices), 3, size, size), np.float32), axis[:, None], axis[None, :], 1 / size)
    scene.color += tint(BACKGROUND, u, 0.05)
    radius, centre_y, centre_x = paint_cells(scene, u)
    infected = (indices % 2 == 1)[:, None, None]
    for number in range(OBJECTS):
        parasite = infected if number == 0 else infected & (u() < 0.5) & (number == 1)
        paint_object(scene, u, parasite, (radius, centre_y, centre_x), difficulty, number)
    illuminate(scene, u)
    add_noise(scene, indices, seed, 0.012 + 0.02 * difficulty)
    pixels: np.ndarray = np.rint(np.clip(scene.color, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return pixels


def rgb(color: np.ndarray) -> np.ndarray:
    """Return a colour as float32 [3, 1, 1], ready to broadcast over images and pixels."""
    column: np.ndarray = color.astype(np.float32)[:, None, None]
    return column


def tint(color: np.ndarray, u: Numbers, spread: float) -> np.ndarray:
    """Return the colour, a little different in each image: [n, 3, 1, 1]."""
    common = u(-spread, spread)
    own = np.stack([u(-spread / 2, spread / 2) for _ in range(3)], axis=1)
    shifted: np.ndarray = rgb(color) + own + common[:, None]
    return shifted


def paint_cells(scene: Scene, u: Numbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paint the red cell in the middle and parts of two neighbours; return the cell's radius and centre (y, x)."""
    for _ in range(2):
        angle, away = u(0, 2 * np.pi), u(0.62, 1.0)
        middle = 0.5 + away * np.sin(angle), 0.5 + away * np.cos(angle)
        paint_cell(scene, u, u(0.30, 0.42), *middle)
    radius, centre_y, centre_x = u(0.33, 0.43), u(0.46, 0.54), u(0.46, 0.54)
    paint_cell(scene, u, radius, centre_y, centre_x)
    return radius, centre_y, centre_x


def paint_cell(scene: Scene, u: Numbers, radius: np.ndarray, y: np.ndarray, x: np.ndarray) -> None:
    """Paint a biconcave disc, paler in the middle and dense at the rim.

    Its outline is r(1 + sum a_k cos(k theta + phi_k)).
    """
    dy, dx = scene.y - y, scene.x - x
    distance = np.sqrt(dy * dy + dx * dx) + np.float32(1e-6)
    cos, sin = dx / distance, dy / distance
    outline = np.ones_like(distance)
    cos_k, sin_k = cos, sin
    for size in (0.07, 0.04):
        cos_k, sin_k = cos_k * cos - sin_k * sin, sin_k * cos + cos_k * sin  # of 2 theta, then of 3 theta
        turn, amount = u(0, 2 * np.pi), u(0, size)
        outline += amount * np.cos(turn) * cos_k - amount * np.sin(turn) * sin_k
    inner = distance / (radius * outline)
    alpha = 1 / (1 + np.exp(np.clip((inner - 1) * radius / (0.6 * scene.pixel), -30, 30)))
    square = inner * inner
    pallor = u(0.2, 0.9) * np.exp(-square / u(0.35, 0.6) ** 2) - u(0.1, 0.4) * square * square * square
    color = tint(CELL, u, 0.06) + (np.float32(0.12) * np.clip(pallor, -1, 1))[:, None]
    scene.blend(color, alpha)


def paint_object(
    scene: Scene,
    u: Numbers,
    parasite: np.ndarray,
    cell: tuple[np.ndarray, np.ndarray, np.ndarray],
    difficulty: float,
    number: int,
) -> None:
    """Paint one stained thing: a ring with a dot where `parasite`, otherwise a platelet, a speck or a fibre.

    Objects 0 and 1 lie in the cell, the others anywhere; distractors are rarer the lower the difficulty.
    """
    radius, centre_y, centre_x = cell
    angle = u(0, 2 * np.pi)
    away = np.sqrt(u()) * (0.66 * radius if number < 2 else np.float32(0.62))
    dy, dx = scene.y - centre_y - away * np.sin(angle), scene.x - centre_x - away * np.cos(angle)
    turn, r, kind = u(0, 2 * np.pi), u(0.062, 0.095), u()
    ring, dot = ring_form(dy, dx, turn, r)
    body, dark = distractor_form(dy, dx, turn, r, kind)
    chance = difficulty**0.25 if number == 0 else 0.3 + 0.9 * difficulty
    present = parasite | (u() < chance)
    strength = u(0.75, 1.0) * np.float32(1 - 0.4 * difficulty) * present
    scene.blend(tint(STAIN, u, 0.05), np.where(parasite, np.float32(0.85) * ring, body) * strength)
    scene.blend(rgb(CHROMATIN), np.where(parasite, dot, dark) * strength)


def step(values: np.ndarray, width: float) -> np.ndarray:
    """Return a soft step from 0 to 1 at 0: the logistic function of values / width."""
    rise: np.ndarray = 1 / (1 + np.exp(np.clip(values / np.float32(-width), -30, 30)))
    return rise


def ring_form(dy: np.ndarray, dx: np.ndarray, turn: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a young parasite: (ring of radius r, chromatin dot on it at the angle `turn`), each 0...1."""
    distance = np.sqrt(dy * dy + dx * dx)
    ring = np.exp(-(((distance - r) / np.float32(0.017)) ** 2))
    off_y, off_x = dy - r * np.sin(turn), dx - r * np.cos(turn)
    return ring, np.exp(-(off_y * off_y + off_x * off_x) / np.float32(2 * 0.021**2))


def distractor_form(
    dy: np.ndarray, dx: np.ndarray, turn: np.ndarray, r: np.ndarray, kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (violet part, dark part) of a platelet (granular disc), a fibre (half an arc) or a speck (dark dot).

    Each covers about as much as the ring, so that how much stain a cell holds does not give the class away.
    """
    distance = np.sqrt(dy * dy + dx * dx) + np.float32(1e-6)
    grain = np.float32(0.6) + np.float32(0.25) * np.sin(dx * 150 + turn) * np.sin(dy * 150)
    platelet = grain * step(np.float32(0.95) * r - distance, 0.012)
    toward = (dx * np.cos(turn) + dy * np.sin(turn)) / distance
    arc = np.exp(-(((distance - np.float32(1.3) * r) / np.float32(0.019)) ** 2))
    fibre = np.float32(0.85) * arc * step(toward - np.float32(0.1), 0.15)
    speck = np.exp(-((distance / np.float32(0.042)) ** 2))
    is_speck = kind >= 0.75
    body = np.where(kind < 0.45, platelet, np.where(is_speck, np.float32(0.8) * speck, fibre))
    return body, np.where(is_speck, speck, np.float32(0))


def illuminate(scene: Scene, u: Numbers) -> None:
    """Light the scene by a lamp that is not centred and a slightly coloured filter: a linear gradient times a tint."""
    gradient = 1 + u(-0.15, 0.15) * (scene.x - 0.5) + u(-0.15, 0.15) * (scene.y - 0.5)
    scene.color *= (gradient * u(0.88, 1.06))[:, None]


def add_noise(scene: Scene, indices: np.ndarray, seed: int, deviation: float) -> None:
    """Add camera noise: the mean of four random bytes per value, about normal (Irwin and Hall)."""
    values = scene.color[0].size
    words = word_rows(values, seed, random.SYNTHETIC, indices, 1)
    total = sum(((words >> np.uint32(shift)) & np.uint32(255)).astype(np.float32) for shift in (0, 8, 16, 24))
    scale = deviation / np.sqrt(4 * (256**2 - 1) / 12)
    scene.color += ((total - np.float32(510)) * np.float32(scale)).reshape(scene.color.shape)
