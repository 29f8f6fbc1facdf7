"""Draws a picture with two C libraries that no Python package brings along: cairo draws, zlib checks the file.

Without replit-env a Nix Python finds neither. Usage: python3 main.py [FILE.png]
"""

import ctypes
import math
import random
import sys

cairo = ctypes.CDLL("libcairo.so.2")
zlib = ctypes.CDLL("libz.so.1")

WIDTH, HEIGHT = 1200, 675
HORIZON = 470
ARGB32, LINE_CAP_ROUND, OPERATOR_OVER, OPERATOR_SCREEN = 0, 1, 2, 15


class Dl_info(ctypes.Structure):
    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


def file_of(function):
    """The file that dladdr(3) names for a function of a library."""
    info = Dl_info()
    address = ctypes.cast(function, ctypes.c_void_p)
    if not ctypes.CDLL(None).dladdr(address, ctypes.byref(info)):
        sys.exit("dladdr knows no file for " + function.__name__)
    return info.file.decode()


class Canvas:
    """A cairo context: `canvas.move_to(x, y)` is `cairo_move_to(context, x, y)`. Numbers are C doubles."""

    def __init__(self, width, height):
        for name in ("image_surface_create", "create", "pattern_create_linear", "pattern_create_radial"):
            getattr(cairo, "cairo_" + name).restype = ctypes.c_void_p
        self.surface = ctypes.c_void_p(cairo.cairo_image_surface_create(ARGB32, width, height))
        self.context = ctypes.c_void_p(cairo.cairo_create(self.surface))

    def __getattr__(self, name):
        function = getattr(cairo, "cairo_" + name)
        return lambda *numbers: function(self.context, *map(c_number, numbers))

    def gradient(self, shape, where, stops):
        """Sets a "linear" or "radial" gradient as the source; a stop is (offset, red, green, blue, alpha)."""
        create = getattr(cairo, "cairo_pattern_create_" + shape)
        pattern = ctypes.c_void_p(create(*map(c_number, where)))
        for stop in stops:
            cairo.cairo_pattern_add_color_stop_rgba(pattern, *map(ctypes.c_double, stop))
        cairo.cairo_set_source(self.context, pattern)
        cairo.cairo_pattern_destroy(pattern)

    def write(self, path):
        """Writes a PNG file, or ends with cairo's own words."""
        status = cairo.cairo_surface_write_to_png(self.surface, path.encode())
        if status:
            cairo.cairo_status_to_string.restype = ctypes.c_char_p
            sys.exit(path + ": " + cairo.cairo_status_to_string(status).decode())


def c_number(value):
    """Cairo takes enumerations as int, everything else as double."""
    return ctypes.c_double(value) if isinstance(value, float) else ctypes.c_int(value)


def sky(canvas):
    canvas.gradient("linear", (0.0, 0.0, 0.0, float(HORIZON)), [
        (0.0, 0.03, 0.03, 0.13, 1), (0.45, 0.16, 0.10, 0.33, 1), (0.8, 0.78, 0.30, 0.36, 1), (1.0, 1.0, 0.68, 0.38, 1),
    ])
    canvas.paint()
    for _ in range(260):
        x, y = random.uniform(0, WIDTH), random.uniform(0, 1) ** 1.6 * HORIZON * 0.8
        canvas.set_source_rgba(1.0, 0.97, 0.9, random.uniform(0.2, 0.95) * (1 - y / HORIZON))
        canvas.arc(x, y, random.uniform(0.4, 1.7), 0.0, math.tau)
        canvas.fill()


def sun(canvas, x, y):
    canvas.set_operator(OPERATOR_SCREEN)
    canvas.gradient("radial", (x, y, 10.0, x, y, 330.0), [
        (0.0, 1.0, 0.75, 0.45, 0.9), (0.35, 1.0, 0.45, 0.30, 0.35), (1.0, 0.9, 0.2, 0.3, 0.0),
    ])
    canvas.paint()
    canvas.set_operator(OPERATOR_OVER)
    canvas.gradient("linear", (x, y - 85, x, y + 85), [(0.0, 1.0, 0.95, 0.75, 1), (1.0, 1.0, 0.62, 0.36, 1)])
    canvas.arc(x, y, 85.0, 0.0, math.tau)
    canvas.fill()


def ridge(canvas, base, height, roughness, top, bottom):
    """A mountain range: midpoint displacement from one edge of the picture to the other."""
    points, spread = [base, base - height * 0.4, base], height
    while len(points) < 400:
        between = [(a + b) / 2 + random.uniform(-spread, spread) / 2 for a, b in zip(points, points[1:])]
        points = [point for pair in zip(points, between) for point in pair] + points[-1:]
        spread *= roughness
    canvas.gradient("linear", (0.0, base - height, 0.0, base + 60.0), [(0.0, *top, 1.0), (1.0, *bottom, 1.0)])
    canvas.move_to(0.0, float(HEIGHT))
    for index, y in enumerate(points):
        canvas.line_to(index * WIDTH / (len(points) - 1), y)
    canvas.line_to(float(WIDTH), float(HEIGHT))
    canvas.fill()


def lake(canvas, sun_x):
    canvas.gradient("linear", (0.0, float(HORIZON), 0.0, float(HEIGHT)), [
        (0.0, 0.62, 0.27, 0.36, 1), (0.3, 0.26, 0.13, 0.33, 1), (1.0, 0.03, 0.03, 0.12, 1),
    ])
    canvas.rectangle(0.0, float(HORIZON), float(WIDTH), float(HEIGHT - HORIZON))
    canvas.fill()
    canvas.set_line_cap(LINE_CAP_ROUND)
    for _ in range(520):
        depth = random.random() ** 1.4
        y = HORIZON + 4 + depth * (HEIGHT - HORIZON - 8)
        # The sun's glitter: a column that widens towards the viewer.
        near = random.random() < 0.62
        x = random.gauss(sun_x, 16 + 70 * depth) if near else random.uniform(0, WIDTH)
        length = random.uniform(6, 26) * (0.4 + depth)
        colour = (1.0, 0.78, 0.5, random.uniform(0.15, 0.75)) if near else (0.75, 0.55, 0.75, random.uniform(0.03, 0.16))
        canvas.set_source_rgba(*colour)
        canvas.set_line_width(0.8 + 1.8 * depth)
        canvas.move_to(x - length, y)
        canvas.line_to(x + length, y)
        canvas.stroke()


def tree(canvas, x, ground, height):
    """A fir: a trunk, and branches that hang a little and grow longer downwards."""
    canvas.set_source_rgb(0.015, 0.015, 0.05)
    canvas.set_line_width(height * 0.03)
    canvas.move_to(x, ground)
    canvas.line_to(x, ground - height)
    canvas.stroke()
    layers = 22
    for layer in range(layers):
        y = ground - height * (0.97 - 0.87 * layer / layers)
        for side in (-1, 1):
            reach = side * height * (0.03 + 0.2 * layer / layers) * random.uniform(0.75, 1.15)
            canvas.move_to(x, y - height * 0.05)
            canvas.curve_to(x + reach * 0.3, y - height * 0.01, x + reach * 0.7, y, x + reach, y + height * 0.035)
            canvas.curve_to(x + reach * 0.6, y + height * 0.02, x + reach * 0.3, y + height * 0.025, x, y + height * 0.02)
            canvas.fill()


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "replit-env-demo.png"
    # The same picture each time.
    random.seed(7)
    canvas = Canvas(WIDTH, HEIGHT)
    sun_x = 770.0
    sky(canvas)
    sun(canvas, sun_x, 395.0)
    ridge(canvas, 430.0, 190.0, 0.56, (0.45, 0.22, 0.42), (0.86, 0.42, 0.42))
    ridge(canvas, 462.0, 120.0, 0.52, (0.22, 0.12, 0.31), (0.50, 0.22, 0.36))
    lake(canvas, sun_x)
    ridge(canvas, 655.0, 50.0, 0.5, (0.02, 0.02, 0.07), (0.01, 0.01, 0.04))
    for _ in range(26):
        x = random.choice([random.uniform(-10, 330), random.uniform(940, WIDTH + 10)])
        tree(canvas, x, 672.0, random.uniform(90, 250))
    canvas.write(path)

    with open(path, "rb") as file:
        png = file.read()
    zlib.crc32.restype = ctypes.c_ulong
    checksum = zlib.crc32(ctypes.c_ulong(0), png, ctypes.c_uint(len(png)))
    print("cairo from", file_of(cairo.cairo_create))
    print("zlib from ", file_of(zlib.crc32))
    print(f"wrote {path}: {len(png)} bytes, CRC-32 {checksum:08x}")


if __name__ == "__main__":
    main()
