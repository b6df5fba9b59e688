"""The pictures of the pages show what the programs show."""

from __future__ import annotations

import re
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

import live_picture
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


@pytest.mark.parametrize(("picture", "page"), [(PICTURE, "docs/use.md"), (live_picture.PICTURE, "README.md")])
def test_the_picture_is_wanted_by_a_page_and_well_formed(picture: Path, page: str) -> None:
    root = ElementTree.parse(picture).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert f"pictures/{picture.name}" in (picture.parent.parent.parent / page).read_text()


def test_the_animated_picture_shows_what_the_programs_show_now(idle_service: Service) -> None:
    """The last frame has all that was said. How often the client has called again differs from run to run."""
    frames = re.findall(r"<g class=.f\d+.>(?:.|\n)*?(?=<g class=.f|</svg>)", live_picture.PICTURE.read_text())
    now = re.findall(r"<g class=.f\d+.>(?:.|\n)*?(?=<g class=.f|</svg>)", live_picture.play(idle_service).svg())
    assert len(frames) == len(now)
    assert _words(frames[-1]) == _words(now[-1])
    assert any("alice … Hello" in frame and "watched" in frame for frame in frames)
    assert any("calling again" in frame for frame in frames)


def _words(frame: str) -> list[str]:
    """The texts of a frame; the key of a service is another one each time."""
    return [text for text in re.findall(r"<text[^>]*>([^<]*)<", frame) if "SHA256" not in text]
