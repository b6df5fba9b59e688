"""Our files are UTF-8 in every locale: no text is read or written in the encoding of the user's."""

from __future__ import annotations

import ast
import os
import re
import shlex
from pathlib import Path

import pytest

from tests.support.service import BIN, Service
from tests.support.user import known_hosts, run

ROOT = Path(__file__).parent.parent
FOLDERS = ("pychat_client", "pychatd", "packaging/tools")
OPENERS = {"open", "fdopen", "read_text", "write_text", "TextIOWrapper", "NamedTemporaryFile", "TemporaryFile"}
PLAIN_ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale that every system has. Without the last two, Python takes it for UTF-8."""


def _follows_locale(call: ast.Call) -> bool:
    """Whether a call opens a file, or pipes of a program, as text in the locale's encoding."""
    options = {option.arg for option in call.keywords}
    function = ast.unparse(call.func)
    opens = function.rpartition(".")[2] in OPENERS and function != "os.open"
    binary = re.search(r"""['"][rwax]?b\+?['"]""", ast.unparse(call)) is not None
    pipes = function.startswith("subprocess.") and bool(options & {"text", "universal_newlines"})
    return pipes or (opens and not binary and "encoding" not in options)


@pytest.mark.parametrize(
    "file",
    [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_a_module_names_the_encoding_of_its_text(file: Path) -> None:
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    assert [ast.unparse(node) for node in nodes if isinstance(node, ast.Call) and _follows_locale(node)] == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("path.read_text()", True),
        ("open(name)", True),
        ("path.open('a')", True),
        ("subprocess.run(words, text=True)", True),
        ("path.open('rb')", False),
        ("os.open(path, flags)", False),
        ("path.read_text(encoding='utf-8')", False),
    ],
)
def test_such_calls_are_found(words: str, found: bool) -> None:
    call = ast.parse(words, mode="eval").body
    assert isinstance(call, ast.Call)
    assert _follows_locale(call) is found


@pytest.mark.parametrize("host", ["b\u00fccher.test", "\u4f8b\u3048.test", "\u043f\u0440\u0438.test"])
def test_accepted_keys_survive_a_call_in_another_locale(service: Service, host: str) -> None:
    known = known_hosts(service)
    known.accept(host, 7000, b"key")
    known.path.write_bytes(known.path.read_bytes() + b"latin-1-\xfc.test:7000 a2V5\n")
    before = known.path.read_bytes()
    send = f"{BIN}/pychat send --accept-new --handle Bob localhost {service.port} Hello"
    assert run(service, shlex.split(send), **PLAIN_ASCII).returncode == 0
    assert known.path.read_bytes().startswith(before)
    assert run(service, f"pychat forget localhost {service.port}", **PLAIN_ASCII).returncode == 0
    assert known.path.read_bytes() == before
    assert known.certificate_of(host, 7000) == b"key"


def test_a_session_file_has_one_name_in_every_locale(service: Service) -> None:
    code = "import os; from pychat_client.config import paths; print(os.fsencode(paths.session_file('\\u4f8b:7')))"
    names = {run(service, [str(BIN / "python"), "-c", code], **env).stdout for env in ({}, PLAIN_ASCII)}
    path = Path(service.env["XDG_STATE_HOME"]) / "pychat/sessions/\u4f8b:7.db"
    assert names == {f"{os.fsencode(path)!r}\n"}


def test_a_name_of_other_letters_can_be_called_in_every_locale(service: Service) -> None:
    done = run(service, "pychat send --via false --handle Bob xn--r8jz45g.invalid 7000 Hello", **PLAIN_ASCII)
    assert done.returncode == 3
    assert "false, the program of 'via'" in done.stderr


def test_a_program_whose_name_the_locale_cannot_write_is_a_sentence(service: Service) -> None:
    file = service.directory / "config/pychat/config.toml"
    file.parent.mkdir(parents=True)
    words = '[contacts.alice]\nhost = "host.test"\nport = 7000\nvia = ["to-\u2603", "x"]\n'
    file.write_text(words, encoding="utf-8")
    done = run(service, "pychat send --handle Bob alice Hello", **PLAIN_ASCII)
    assert done.returncode == 3
    assert "the program of 'via': it has characters that your locale cannot write." in done.stderr


@pytest.mark.parametrize("name", ["Zo\u00eb", "\u540d\u524d"])
def test_the_configuration_is_read_in_every_locale(service: Service, name: str) -> None:
    file = service.directory / "config/pychat/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'handle = "{name}"', encoding="utf-8")
    console = service.ready_plain("pychatd-console", "--handle", "Server")
    send = f"pychat send --accept-new localhost {service.port} Hello"
    assert run(service, send, **PLAIN_ASCII).returncode == 0
    console.says(f"{name}> Hello\n")
