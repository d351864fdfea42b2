"""The command ``explain``: what a pasted error text means; needs no sign-in and no network."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.errors import InvalidInput

if TYPE_CHECKING:
    from provision.diagnose.explain import Explanation

Subparsers = Any  # argparse does not name the type of add_subparsers()
_MAX_BYTES = 4_000_000


def add_commands(subparsers: Subparsers) -> None:
    """Adds the command of this module."""
    text = "explain an error text of Microsoft 365 or Google, offline"
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "explain", help=text, description=text[0].upper() + text[1:]
    )
    parser.set_defaults(handler=_explain)
    parser.add_argument("text", nargs="*", help="the text in quotes; without it, standard input")
    parser.add_argument("--file", type=Path, help="a file that holds the text")
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def read_text(words: list[str], file: Path | None) -> str:
    """The text to explain: the arguments, a file, or standard input; bytes that are no text are passed over.

    Raises:
        InvalidInput: the file cannot be read, or there is no text.
    """
    if words and file is not None:
        raise InvalidInput("The text is given twice.", remedy="Give it in quotes, or by --file.")
    if words:
        return " ".join(words)
    try:
        if file is not None:
            with file.open("rb") as opened:
                raw = opened.read(_MAX_BYTES)
        else:
            raw = sys.stdin.buffer.read(_MAX_BYTES) if sys.stdin is not None else b""
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.", remedy="Name a readable file.") from None
    text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", errors="replace")
    if not text.strip():
        raise InvalidInput(
            "There is no text to explain.", remedy='Give it in quotes: provision explain "535 5.7.139 …"'
        )
    return text


def _explain(arguments: argparse.Namespace) -> int:
    from provision.diagnose.explain import explain

    found = explain(read_text(arguments.text, arguments.file))
    print(json.dumps(document(found), indent=2, ensure_ascii=False) if arguments.json else _text(found))
    return 0 if found.is_known else 1


def document(found: Explanation) -> dict[str, Any]:
    """The explanation for programs; nothing of the text but what was recognised."""
    return {
        "known": found.is_known,
        "answers": [
            {
                "id": code.id,
                "family": code.family,
                "means": code.means,
                "remedy": code.remedy,
                "layers": list(code.layers),
                "source": code.source,
            }
            for code in found.codes
        ],
        "unknown": list(found.unknown),
        "understood": list(found.understood),
    }


def _text(found: Explanation) -> str:
    lines: list[str] = []
    for code in found.codes:
        lines += [f"{code.id}: {code.means}", f"  {code.remedy}"]
        if code.source.startswith("not read"):
            lines.append("  (Microsoft's own text for this answer was not found; this follows reports.)")
    if found.unknown:
        lines.append(f"Not known here: {', '.join(found.unknown)}.")
        lines += [
            f"  https://login.microsoftonline.com/error?code={name.removeprefix('AADSTS')}"
            for name in found.unknown
            if name.startswith("AADSTS")
        ]
    if not found.codes:
        lines.append("Not known: the text holds no answer of Microsoft or Google whose meaning is known here.")
        lines.append("  Paste the whole answer, also the lines around it: the number and the sentence behind it count.")
    if found.understood:
        lines.append(f"Understood besides: {'; '.join(found.understood)}.")
    return "\n".join(lines)
