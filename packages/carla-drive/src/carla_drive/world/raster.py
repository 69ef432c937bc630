"""Triangles to pixels: which triangle each pixel shows, and how far away it is.

Compiled with numba where that is installed. The NumPy version computes the same expressions in the
same order, so that both give the same pixels.
"""

import numpy as np

try:
    import numba
except ImportError:  # optional: NumPy draws the same pixels
    numba = None

NEAR = 0.1  # m


def jitted(function):
    """``function`` as machine code, or as it is where numba is not installed."""
    return function if numba is None else numba.njit(cache=True)(function)


def rasterise(
    vertices: np.ndarray, focal: float, width: int, height: int, *, compiled: bool | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest triangle of each pixel (H, W) int32, -1 where there is none, and its depth (H, W)
    float64 along the optical axis, infinite where there is none.

    ``vertices`` (T, 3, 3) float64 are corners right, down, ahead of the camera in metres. Both
    sides of a triangle are seen. Of equally near ones the first is kept.
    """
    index = np.full((height, width), -1, np.int32)
    depth = np.full((height, width), np.inf)
    use = numba is not None if compiled is None else compiled
    draw = _draw_fast if use else _draw
    draw(np.ascontiguousarray(vertices, np.float64), focal, width, height, index, depth)
    return index, depth


def _draw(vertices, focal, width, height, index, depth):
    corners = np.empty((4, 3))
    for number in range(vertices.shape[0]):
        count = _clip(vertices[number], corners)
        if count >= 3:
            _fill_slowly(
                vertices[number], corners, count, number, focal, width, height, index, depth
            )


def _clip(triangle, corners):
    """The part of a triangle that lies beyond the near plane: its ``corners`` (4, 3), of which the
    first so many count."""
    count = 0
    for k in range(3):
        a = triangle[k]
        b = triangle[(k + 1) % 3]
        if a[2] >= NEAR:
            corners[count, 0], corners[count, 1], corners[count, 2] = a[0], a[1], a[2]
            count += 1
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            share = (NEAR - a[2]) / (b[2] - a[2])
            corners[count, 0] = a[0] + share * (b[0] - a[0])
            corners[count, 1] = a[1] + share * (b[1] - a[1])
            corners[count, 2] = NEAR
            count += 1
    return count


def _fill(triangle, corners, count, number, focal, width, height, index, depth, screen):
    """A depth is that of the triangle's plane on the pixel's ray: d / (n . ray). ``screen`` (5, 4)
    is room to reckon in."""
    ax, ay, az = triangle[0, 0], triangle[0, 1], triangle[0, 2]
    bx, by, bz = triangle[1, 0] - ax, triangle[1, 1] - ay, triangle[1, 2] - az
    cx, cy, cz = triangle[2, 0] - ax, triangle[2, 1] - ay, triangle[2, 2] - az
    nx, ny, nz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
    distance = nx * ax + ny * ay + nz * az
    if distance == 0.0:
        return
    sx, sy, dx, dy, across = screen
    left, right, top, bottom = 1e30, -1e30, 1e30, -1e30
    for k in range(count):
        x = corners[k, 0] / corners[k, 2] * focal + width / 2
        y = corners[k, 1] / corners[k, 2] * focal + height / 2
        sx[k] = x
        sy[k] = y
        left, right = min(left, x), max(right, x)
        top, bottom = min(top, y), max(bottom, y)
    area = 0.0
    for k in range(count):
        j = (k + 1) % count
        area += sx[k] * sy[j] - sx[j] * sy[k]
    sign = 1.0 if area > 0 else -1.0
    if right <= 0.0 or left >= width or bottom <= 0.0 or top >= height:
        return
    first_x, last_x = int(max(left - 0.5, 0.0)), int(min(right + 0.5, width - 1.0))
    first_y, last_y = int(max(top - 0.5, 0.0)), int(min(bottom + 0.5, height - 1.0))
    for k in range(count):
        j = (k + 1) % count
        dx[k] = sx[j] - sx[k]
        dy[k] = sy[j] - sy[k]
    for row in range(first_y, last_y + 1):
        py = row + 0.5
        for k in range(count):
            across[k] = dx[k] * (py - sy[k])
        for column in range(first_x, last_x + 1):
            px = column + 0.5
            inside = True
            for k in range(count):
                edge = across[k] - dy[k] * (px - sx[k])
                if edge * sign < 0.0:
                    inside = False
                    break
            if inside:
                ray = nx * ((px - width / 2) / focal) + ny * ((py - height / 2) / focal) + nz
                if ray != 0.0:
                    z = distance / ray
                    if z >= NEAR * 0.999 and z < depth[row, column]:
                        depth[row, column] = z
                        index[row, column] = number


def _fill_slowly(triangle, corners, count, number, focal, width, height, index, depth) -> None:
    (ax, ay, az), (px, py, pz), (qx, qy, qz) = triangle.tolist()
    bx, by, bz, cx, cy, cz = px - ax, py - ay, pz - az, qx - ax, qy - ay, qz - az
    nx, ny, nz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
    distance = nx * ax + ny * ay + nz * az
    if distance == 0.0:
        return
    sx = (corners[:count, 0] / corners[:count, 2] * focal + width / 2).tolist()
    sy = (corners[:count, 1] / corners[:count, 2] * focal + height / 2).tolist()
    left, right, top, bottom = min(sx), max(sx), min(sy), max(sy)
    area = 0.0
    for k in range(count):
        j = (k + 1) % count
        area += sx[k] * sy[j] - sx[j] * sy[k]
    sign = 1.0 if area > 0 else -1.0
    if right <= 0.0 or left >= width or bottom <= 0.0 or top >= height:
        return
    first_x, last_x = int(max(left - 0.5, 0.0)), int(min(right + 0.5, width - 1.0))
    first_y, last_y = int(max(top - 0.5, 0.0)), int(min(bottom + 0.5, height - 1.0))
    x = np.arange(first_x, last_x + 1) + 0.5
    y = (np.arange(first_y, last_y + 1) + 0.5)[:, None]
    inside = np.ones((y.shape[0], x.shape[0]), bool)
    for k in range(count):
        j = (k + 1) % count
        edge = (sx[j] - sx[k]) * (y - sy[k]) - (sy[j] - sy[k]) * (x - sx[k])
        inside &= edge * sign >= 0.0
    ray = nx * ((x - width / 2) / focal) + ny * ((y - height / 2) / focal) + nz
    with np.errstate(divide="ignore"):
        z = distance / ray
    there = (slice(first_y, last_y + 1), slice(first_x, last_x + 1))
    nearer = inside & (ray != 0.0) & (z >= NEAR * 0.999) & (z < depth[there])
    depth[there][nearer] = z[nearer]
    index[there][nearer] = number


_fast_clip, _fast_fill = jitted(_clip), jitted(_fill)


@jitted
def _draw_fast(vertices, focal, width, height, index, depth):
    corners, screen = np.empty((4, 3)), np.empty((5, 4))
    for number in range(vertices.shape[0]):
        count = _fast_clip(vertices[number], corners)
        if count >= 3:
            _fast_fill(
                vertices[number], corners, count, number, focal, width, height, index, depth, screen
            )
