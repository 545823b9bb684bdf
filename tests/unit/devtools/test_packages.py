"""The drawing of the packages is what the imports are now, and the same wherever it is drawn."""

from itertools import pairwise
from xml.etree import ElementTree

import grimp
import pytest

from devtools.layers import lay_out, reachable, reduced
from devtools.packages import DRAWING, PACKAGES, draw, imports_inside
from tests.support.guides import ROOT

SVG = "{http://www.w3.org/2000/svg}"
CHAIN = [("app", "store"), ("store", "state"), ("app", "state")]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """The imports of this repository."""
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def test_the_drawing_in_the_docs_is_what_make_packages_draws_now(graph: grimp.ImportGraph) -> None:
    assert DRAWING.read_text(encoding="utf-8") == draw(graph), "run: make packages"


def test_the_architecture_shows_it() -> None:
    shown = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

    assert "(images/packages.svg)" in shown
    assert "`make packages`" in shown


def test_every_room_of_ops_every_module_of_orders_and_every_service_stand_in_it(
    graph: grimp.ImportGraph,
) -> None:
    drawing = ElementTree.fromstring(draw(graph))
    written = {text.text for text in drawing.iter(f"{SVG}text")}

    for package in ("ops", "services.orders", "shared"):
        assert imports_inside(graph, package)[0] <= written
    for folder in sorted((ROOT / "services").glob("*/__main__.py")):
        assert any(f"services.{folder.parent.name}" in (text or "") for text in written)


def test_it_is_readable_on_a_dark_page(graph: grimp.ImportGraph) -> None:
    light, dark = draw(graph).partition("</style>")[0].split("@media (prefers-color-scheme: dark)")

    for name in (".page", ".area", ".box", "text", ".arrow", ".between"):
        assert f"\n    {name} {{" in light
        assert f"\n      {name} {{" in dark


def test_what_imports_stands_above_what_it_imports() -> None:
    layout = lay_out(["app", "store", "state"], CHAIN)

    heights = [layout.boxes[name].y for name in ("app", "store", "state")]
    assert heights == sorted(set(heights))


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    assert reduced(["app", "store", "state"], CHAIN) == [("app", "store"), ("store", "state")]


def test_a_circle_stands_in_one_row_with_all_its_arrows() -> None:
    circle = [("a", "b"), ("b", "c"), ("c", "a"), ("top", "a")]
    layout = lay_out(["a", "b", "c", "top"], circle)

    assert len({layout.boxes[name].y for name in "abc"}) == 1
    assert set(layout.arrows) == set(circle)


def test_boxes_of_a_row_do_not_overlap() -> None:
    names = [f"module_{number}" for number in range(9)]
    layout = lay_out([*names, "top"], [("top", name) for name in names])

    row = sorted((layout.boxes[name] for name in names), key=lambda box: box.x)
    assert all(left.x + left.width < right.x for left, right in pairwise(row))
    assert row[-1].x + row[-1].width == pytest.approx(layout.width)


def test_the_order_in_which_imports_are_found_does_not_matter() -> None:
    edges = [("top", "left"), ("top", "right"), ("left", "end"), ("right", "end"), ("top", "far")]
    names = ["top", "left", "right", "end", "far"]

    assert lay_out(names, edges) == lay_out(names[::-1], edges[::-1])


def test_what_is_reachable_goes_any_number_of_steps() -> None:
    assert reachable(["a", "b", "c"], [("a", "b"), ("b", "c")]) == {"a": {"b", "c"}, "b": {"c"}, "c": set()}
