"""Small pictures for the corpus and the probes: a coloured shape and/or a digit on a plain background.

A picture follows from its spec, a small dictionary that can be kept as JSON. A small digit is 5 x 7 pixels and stands within
one patch, so that it cannot be read in a picture of half the size; a large one is twice or three times as big.
"""

import random
import struct
import zlib

import numpy as np

PATCH = 8
SHAPES = ["circle", "square", "triangle", "cross"]
COLOURS = {"red": (210, 40, 40), "green": (40, 160, 60), "blue": (50, 80, 210), "yellow": (230, 210, 50),
           "purple": (140, 50, 160), "orange": (240, 140, 30)}
BACKGROUNDS = {"white": (245, 245, 245), "grey": (150, 150, 150), "black": (15, 15, 15)}
FONT = ["01110 10001 10011 10101 11001 10001 01110", "00100 01100 00100 00100 00100 00100 01110",
        "01110 10001 00001 00110 01000 10000 11111", "11110 00001 00001 01110 00001 00001 11110",
        "00010 00110 01010 10010 11111 00010 00010", "11111 10000 11110 00001 00001 10001 01110",
        "00110 01000 10000 11110 10001 10001 01110", "11111 00001 00010 00100 01000 01000 01000",
        "01110 10001 10001 01110 10001 10001 01110", "01110 10001 10001 01111 00001 00010 01100"]


def draw_spec(rng, size=None):
    """What is in a picture, drawn at random."""
    width, height = size or rng.choices([(32, 32), (48, 48), (16, 16), (24, 24), (48, 32), (64, 64)], [20, 8, 1, 1, 1, 1])[0]
    kind = rng.choices(["shape", "digit", "both"], [5, 4, 2])[0] if min(width, height) >= 32 else "shape"
    spec = {"width": width, "height": height, "background": rng.choice(list(BACKGROUNDS)), "seed": rng.randrange(10**6)}
    if kind != "digit":
        spec |= {"shape": rng.choice(SHAPES), "colour": rng.choice(list(COLOURS))}
    if kind != "shape":
        spec |= {"digit": rng.randrange(10), "scale": 1 if kind == "both" else rng.choices([1, 2, 3], [6, 3, 1])[0]}
    return spec


def inside(shape, x, y):
    """Whether points are in a shape of radius one about the origin."""
    if shape == "circle":
        return x * x + y * y <= 1
    if shape == "square":
        return (abs(x) <= 0.88) & (abs(y) <= 0.88)
    if shape == "triangle":
        return (y <= 0.9) & (abs(x) * 1.8 <= y + 0.9)
    return ((abs(x) <= 0.32) & (abs(y) <= 1)) | ((abs(y) <= 0.32) & (abs(x) <= 1))


def draw(spec):
    """The picture as bytes: height x width x 3."""
    rng = random.Random(spec["seed"])
    width, height = spec["width"], spec["height"]

    def jitter(colour, by):
        return np.array([min(255, max(0, value + rng.randint(-by, by))) for value in colour], np.uint8)

    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = jitter(BACKGROUNDS[spec["background"]], 10)
    ink = jitter((30, 30, 30) if spec["background"] != "black" else (230, 230, 230), 20)
    if "shape" in spec:
        # Beside a digit the last row and column of patches stay free for it.
        free = PATCH if "digit" in spec else 0
        side = min(width, height) - free
        radius = side * rng.uniform(0.3, 0.42)
        middle = [(length - free) / 2 + rng.uniform(-1, 1) * side * 0.07 for length in (width, height)]
        y, x = np.mgrid[:height, :width] + 0.5
        picture[inside(spec["shape"], (x - middle[0]) / radius, (y - middle[1]) / radius)] = jitter(COLOURS[spec["colour"]], 20)
    if "digit" in spec:
        scale = spec["scale"]
        columns, rows = width // PATCH - scale + 1, height // PATCH - scale + 1
        left, top = rng.randrange(columns), rng.randrange(rows)
        if "shape" in spec:
            left, top = (columns - 1, top) if rng.random() < 0.5 else (left, rows - 1)
        left, top = left * PATCH + rng.randint(0, 2) * scale, top * PATCH + rng.randint(0, 1) * scale
        dots = np.array([[dot == "1" for dot in line] for line in FONT[spec["digit"]].split()])
        dots = np.kron(dots, np.ones((scale, scale), bool))
        picture[top : top + 7 * scale, left : left + 5 * scale][dots] = ink
    return picture


def patches(picture):
    """A row of 192 bytes for each patch, patches in reading order."""
    height, width, _ = picture.shape
    grid = picture.reshape(height // PATCH, PATCH, width // PATCH, PATCH, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(-1, PATCH * PATCH * 3)


def places(width, height):
    """Row and column of each patch, in the same order."""
    return [(row, column) for row in range(height // PATCH) for column in range(width // PATCH)]


def marker(width, height):
    """The text that holds a picture's place."""
    return "<|image|>" + ("<|patch|>" * (width // PATCH) + "<|row|>") * (height // PATCH)


def questions(spec):
    """(task, question, answer, truth) of everything that can be asked about a picture."""
    parts = [f"{article(spec['colour'])} {spec['shape']}"] if "shape" in spec else []
    parts += [f"the digit {spec['digit']}"] if "digit" in spec else []
    whole = " and ".join(parts)
    asked = [("image_describe", "Describe the picture.", f"{whole[0].upper()}{whole[1:]} on {spec['background']}.", whole)]
    if "shape" in spec:
        asked.append(("image_shape", "Which shape is in the picture?", f"The shape is a {spec['shape']}.", spec["shape"]))
        asked.append(("image_colour", "Which colour is the shape?", f"The colour is {spec['colour']}.", spec["colour"]))
    if "digit" in spec:
        asked.append(("image_digit" if spec["scale"] == 1 else "image_large_digit", "Which digit is in the picture?",
                      f"The digit is {spec['digit']}.", str(spec["digit"])))
    return asked


def article(text):
    return ("an " if text[0] in "aeiou" else "a ") + text


def png(picture):
    """The picture as a PNG file."""
    height, width, _ = picture.shape

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    lines = b"".join(b"\0" + line.tobytes() for line in picture)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")
