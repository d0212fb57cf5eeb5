"""The graph as a picture: SVG that needs nothing but a browser.

Each person is a ring of its identifiers, strongest on top. A ring is convex, so that no edge runs through a third
identifier, and its identifiers are a line of text apart, so that no name covers another. Shared ones stand below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any, Final, NamedTuple
from xml.sax.saxutils import escape

import networkx as nx

PERSONS_MAX: Final = 12
NAMES_MAX: Final = 60
"""Of one person; more cannot be read."""
HUBS_MAX: Final = 24
REASONS_MAX: Final = 12
"""Skipped edges that have their reasons beside them; of more they show when the mouse is over the edge."""
_NAME_MAX: Final = 30
_LINE, _LETTER, _MARGIN, _TITLE, _GAP = 26, 7.4, 24, 50, 56
_PER_ROW: Final = 3
_COLOURS: Final = ("#1b6ca8", "#2f8f5b", "#8a4fb0", "#b0722a", "#5b6b7a", "#a83f6a", "#3c8d93", "#7a7a1f")
_STYLE: Final = """
text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1c2733;paint-order:stroke;stroke:#fff;stroke-width:4px}
.title{font-weight:bold}.note{fill:#5b6b7a}.why{fill:#b3261e;font-size:11px}
.kept{stroke:#2b3a4a;fill:none}.skipped{stroke:#b3261e;stroke-dasharray:6 4;fill:none}
.shared{stroke:#9aa5b1;stroke-dasharray:1 4;stroke-linecap:round;fill:none}
.person{fill:#f4f7fa;stroke:#d5dde5}.asked{stroke:#e8a400;stroke-width:3px}
"""


class Spot(NamedTuple):
    """Where an identifier is. side: its name stands left (-1) or right (1) of it."""

    x: float
    y: float
    side: int


class _Box(NamedTuple):
    person: str
    names: list[str]
    left_out: int
    width: float
    height: float


def svg(drawn: nx.Graph) -> str:
    persons, hubs, left_out = _chosen(drawn)
    boxes = [_box(person, names) for person, names in persons]
    spots: dict[str, Spot] = {}
    frames: list[str] = []
    titles: list[str] = []
    width, y = 560.0, float(_MARGIN)
    for row in _rows(drawn, boxes):
        x = float(_MARGIN)
        for box in row:
            frames.append(_frame(box, x, y))
            titles += _title(box, x, y)
            spots |= _ring(box, x, y)
            x += box.width + _GAP
        width = max(width, x - _GAP + _MARGIN)
        y += max(box.height for box in row) + _GAP
    spots |= _line_up(hubs, width, y)
    y += (len(hubs) + 2) // 3 * _LINE + (_LINE if hubs else 0)
    parts = [*frames, *_edges(drawn, spots), *titles, *_nodes(drawn, spots), *_legend(drawn, y, left_out)]
    height = y + _LINE * (3 + bool(left_out)) + _MARGIN
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>\n"])


def _chosen(drawn: nx.Graph) -> tuple[list[tuple[str, list[str]]], list[str], int]:
    """Persons with their identifiers, those asked for first; hubs; how many persons and hubs are left out."""
    persons: dict[str, list[str]] = {}
    hubs = []
    for name, data in sorted(drawn.nodes(data=True), key=lambda node: node[1]["place"]):
        if data["shared"] and not data["asked"]:
            hubs.append(name)
        else:
            persons.setdefault(data["person"], []).append(name)
    order = sorted(persons, key=lambda person: (not any(drawn.nodes[n]["asked"] for n in persons[person]), person))
    left_out = max(0, len(order) - PERSONS_MAX) + max(0, len(hubs) - HUBS_MAX)
    return [(person, persons[person]) for person in order[:PERSONS_MAX]], sorted(hubs)[:HUBS_MAX], left_out


def _rows(drawn: nx.Graph, boxes: Sequence[_Box]) -> Iterator[Sequence[_Box]]:
    """Those asked for on top, so that edges to the others run down."""
    asked = sum(1 for box in boxes if any(drawn.nodes[name]["asked"] for name in box.names))
    yield boxes[:asked]
    for place in range(asked, len(boxes), _PER_ROW):
        yield boxes[place : place + _PER_ROW]


def _box(person: str, names: list[str]) -> _Box:
    """Its size: the ring, and room for the names on both sides."""
    shown = names[:NAMES_MAX]
    height = _height(shown)
    room = max(_LETTER * max(map(len, map(_short, shown))), 60.0) + 24
    return _Box(person, shown, len(names) - len(shown), 2 * _radius(height) + 2 * room, height + _TITLE + 20)


def _height(names: Sequence[str]) -> float:
    return max((len(names) + 1) // 2 - 1, 0) * _LINE + 24.0


def _radius(height: float) -> float:
    """Half of the width of a ring."""
    return max(height * 0.45, 55)


def _frame(box: _Box, x: float, y: float) -> str:
    return f'<rect class="person" x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="10"/>'


def _title(box: _Box, x: float, y: float) -> Iterator[str]:
    more = f", {box.left_out} not shown" if box.left_out else ""
    count = len(box.names) + box.left_out
    yield _text(x + 12, y + 18, f"person {box.person[:8]}", "title", box.person)
    yield _text(x + 12, y + 34, f"{count} identifier{'s' * (count > 1)}{more}", "note")


def _ring(box: _Box, x: float, y: float) -> dict[str, Spot]:
    """Down the right side and the left side of an ellipse in turn, each a line below the one before."""
    height = _height(box.names)
    radius_x, radius_y = _radius(height), height / 2
    middle_x, middle_y = x + box.width / 2, y + _TITLE + radius_y
    spots = {}
    for number, name in enumerate(box.names):
        side = 1 if number % 2 else -1
        down = (number // 2) * _LINE + 12 - radius_y + (4 if side > 0 else -4)
        bow = sqrt(max(0.0, 1 - (down / (radius_y + 6)) ** 2))
        spots[name] = Spot(middle_x + side * radius_x * bow, middle_y + down, side)
    return spots


def _line_up(hubs: Sequence[str], width: float, y: float) -> dict[str, Spot]:
    column = (width - 2 * _MARGIN) / _PER_ROW
    return {
        name: Spot(_MARGIN + 12 + number % _PER_ROW * column, y + number // _PER_ROW * _LINE, 1)
        for number, name in enumerate(hubs)
    }


def _edges(drawn: nx.Graph, spots: dict[str, Spot]) -> Iterator[str]:
    for kind in ("shared", "kept", "skipped"):
        edges = [edge for edge in drawn.edges(data=True) if edge[2]["kind"] == kind]
        for number, (a, b, data) in enumerate(sorted(edges, key=lambda edge: edge[:2])):
            if a in spots and b in spots:
                share = 0.35 + number % 4 / 10 if len(edges) <= REASONS_MAX else 0
                yield from _edge(a, b, data, spots[a], spots[b], share)


def _edge(a: str, b: str, data: dict[str, Any], one: Spot, other: Spot, share: float) -> Iterator[str]:
    """share: of the way, where the reasons stand; 0: they do not."""
    kind, count = data["kind"], data["count"]
    told = f"{a} – {b}: {count}×"
    if kind != "shared":
        told += f", {data['first']} ({data['first_touchpoint']}) to {data['last']} ({data['last_touchpoint']})"
    if data["reasons"]:
        told += f"; not used: {data['reasons']}"
    yield _line(kind, one, other, min(1 + count.bit_length() / 3, 4), told)
    if data["reasons"] and share:
        x, y = one.x + share * (other.x - one.x), one.y + share * (other.y - one.y)
        yield _text(x, y - 3, data["reasons"], "why", told, "middle")


def _nodes(drawn: nx.Graph, spots: dict[str, Spot]) -> Iterator[str]:
    for name, (x, y, side) in spots.items():
        data = drawn.nodes[name]
        asked, colour = " asked" * data["asked"], _colour(drawn, data["type"])
        if data["shared"]:
            shape = f"M{x:.1f} {y - 7:.1f}l7 7-7 7-7-7z"
            yield f'<path class="hub{asked}" d="{shape}" fill="#fff" stroke="{colour}" stroke-width="2"/>'
        else:
            yield f'<circle class="id{asked}" cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}"/>'
        yield _text(x + 12 * side, y + 4, _short(name), "name", name, "start" if side > 0 else "end")


def _legend(drawn: nx.Graph, y: float, left_out: int) -> Iterator[str]:
    x, y = float(_MARGIN), y + _LINE
    for kind, told in (("kept", "used"), ("skipped", "seen together, not used"), ("shared", "seen with a shared one")):
        yield _line(kind, Spot(x, y - 4, 1), Spot(x + 34, y - 4, 1), 2, told)
        yield _text(x + 42, y, told, "note")
        x += 62 + _LETTER * len(told)
    x, y = float(_MARGIN), y + _LINE
    for type in _types(drawn):
        yield f'<circle cx="{x + 6:.1f}" cy="{y - 4:.1f}" r="6" fill="{_colour(drawn, type)}"/>'
        yield _text(x + 18, y, type, "note")
        x += 36 + _LETTER * len(type)
    yield f'<path d="M{x + 6:.1f} {y - 11:.1f}l7 7-7 7-7-7z" fill="#fff" stroke="#5b6b7a" stroke-width="2"/>'
    yield _text(x + 20, y, "shared", "note")
    yield f'<circle class="asked" cx="{x + 92:.1f}" cy="{y - 4:.1f}" r="6" fill="#fff"/>'
    yield _text(x + 106, y, "asked for", "note")
    if left_out:
        yield _text(_MARGIN, y + _LINE, f"{left_out} more persons and shared identifiers are left out", "note")


def _types(drawn: nx.Graph) -> list[str]:
    return list(dict.fromkeys(data["type"] for _, data in sorted(drawn.nodes(data=True), key=lambda n: n[1]["type"])))


def _colour(drawn: nx.Graph, type: str) -> str:
    return _COLOURS[_types(drawn).index(type) % len(_COLOURS)]


def _line(kind: str, one: Spot, other: Spot, width: float, title: str) -> str:
    ends = f'x1="{one.x:.1f}" y1="{one.y:.1f}" x2="{other.x:.1f}" y2="{other.y:.1f}"'
    return f'<line class="{kind}" {ends} stroke-width="{width:.1f}"><title>{escape(title)}</title></line>'


def _text(x: float, y: float, told: str, style: str, title: str = "", anchor: str = "start") -> str:
    hover = f"<title>{escape(title)}</title>" if title else ""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(told)}{hover}</text>'


def _short(name: str) -> str:
    return name if len(name) <= _NAME_MAX else f"{name[: _NAME_MAX - 9]}…{name[-8:]}"
