"""The README's picture shows what the programs show."""

from __future__ import annotations

import time
from xml.etree import ElementTree

from pictures import PICTURE, draw, keep_typing, pose
from tests.support.service import Service
from tests.support.waiting import PATIENCE


def test_the_picture_is_what_make_pictures_draws_now(idle_service: Service) -> None:
    console, client = pose(idle_service)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        keep_typing(console, client)
        if draw(console, client) == PICTURE.read_text():
            return
    assert draw(console, client) == PICTURE.read_text(), "run 'make pictures', and look at the difference"


def test_the_picture_is_wanted_by_the_readme_and_well_formed() -> None:
    root = ElementTree.parse(PICTURE).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert f"docs/pictures/{PICTURE.name}" in (PICTURE.parent.parent.parent / "README.md").read_text()
