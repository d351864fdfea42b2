"""YAML from strangers, as a tree in which every part knows its line.

Owns: the limits (size, depth, number of parts, aliases), what of YAML a fleet file may use, and the sentence for each
refusal. Does not own: what the parts mean (``document``).

Nothing is built but text, lists and tables: no tag of YAML's makes an object, and a scalar stays the text that was
written, so that a company code ``0123`` or ``NO`` is not turned into a number or a truth value. The parts come from
PyYAML's parser one after another; an alias points to the part that it names instead of copying it, and counts with
everything that it stands for, so that a few lines cannot mean billions of rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from provision.errors import InvalidInput

LARGEST = 10 * 1024 * 1024
"""Bytes of a fleet file: about 50,000 tenants with a handful of fields each."""
DEEPEST = 12
"""How many lists and tables may stand in one another; a fleet file needs four."""
MOST = 2_000_000
"""How many parts a file may have, each alias counted with what it stands for."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""What YAML does not allow ("5.1. Character Set", YAML 1.2.2)."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset({f"{_CORE}{name}" for name in ("str", "seq", "map", "int", "float", "bool", "null")})


@dataclass(slots=True)
class Scalar:
    """A single value: its text as it was written."""

    text: str
    line: int
    """From 1."""
    column: int
    """From 0."""
    end: int
    """The last line of it."""
    plain: bool = True
    """Whether it was written without quotes."""

    @property
    def is_empty(self) -> bool:
        """Whether it says that there is no value."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(slots=True)
class Sequence:
    """A list."""

    line: int
    column: int
    end: int
    flow: bool
    """Whether it was written with brackets."""
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """A table; a key that stands twice is in it twice."""

    line: int
    column: int
    end: int
    flow: bool
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)

    def get(self, key: str) -> Node | None:
        """The value of a key, the first of several; None without it."""
        return next((value for name, value in self.entries if name.text == key), None)

    def twice(self) -> list[tuple[Scalar, int]]:
        """Keys that stand a second time, each with the line of the first."""
        first: dict[str, int] = {}
        found = []
        for name, _ in self.entries:
            if name.text in first:
                found.append((name, first[name.text]))
            first.setdefault(name.text, name.line)
        return found


Node = Scalar | Sequence | Mapping


def decode(content: bytes, source: str) -> str:
    """The text of a fleet file, YAML or CSV: UTF-8, with the mark that spreadsheets write before it or without.

    Args:
        content: the file.
        source: what to call it in messages.

    Raises:
        InvalidInput: it is too large, or is other text than UTF-8; the message says what it looks like.
    """
    if len(content) > LARGEST:
        raise InvalidInput(
            f"{source} is larger than {LARGEST // (1024 * 1024)} MiB, the most that a fleet file may have.",
            remedy="Divide it into several fleets.",
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidInput(f"{source} is UTF-16 text, not UTF-8.", remedy="Save it as UTF-8 (CSV UTF-8).")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start : error.start + 1]
        shown = byte.decode("cp1252", errors="replace")
        meant = "" if shown == "\N{REPLACEMENT CHARACTER}" else f", which is {shown!r} in Windows-1252"
        raise InvalidInput(
            f"{source}:{line}: the file is not UTF-8 text: it has the byte 0x{byte.hex().upper()}{meant}.",
            remedy="Save it anew as UTF-8; in a spreadsheet, as `CSV UTF-8`.",
        ) from None
    if strange := _CONTROL.search(text):
        line = text.count("\n", 0, strange.start()) + 1
        raise InvalidInput(
            f"{source}:{line}: the file holds the control character U+{ord(strange[0]):04X}.",
            remedy="Take it out; a fleet file is plain text.",
        )
    return text


def compose(text: str, source: str) -> Node | None:
    """The tree of a YAML file; None when it is empty.

    Args:
        text: the file.
        source: what to call it in messages, which have the line.

    Raises:
        InvalidInput: it is no YAML, or uses what a fleet file may not.
    """
    try:
        return _Composer(source).compose(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}" if mark else source
        said = " ".join(part for part in (error.context, error.problem) if part)
        raise InvalidInput(f"{place}: this is not YAML: {said}.", remedy=_LOOK) from None
    except yaml.YAMLError:
        raise InvalidInput(f"{source} is not YAML.", remedy=_LOOK) from None


_LOOK = "Look at this line and the one before: indentation, a missing quote or colon."


@dataclass
class _Open:
    """A list or table that is being read."""

    node: Sequence | Mapping
    anchor: str | None
    before: int
    """How many parts there were before it."""
    key: Scalar | None = None


class _Composer:
    """One file's parts put together, without recursion."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._count = 0
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._open: list[_Open] = []
        self._root: Node | None = None

    def compose(self, events: Iterator[Any]) -> Node | None:
        """The root of the one document."""
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document begins here (`---`)", "Put all tenants into one.")
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                self._end(event)
        return self._root

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            open_ones = {one.anchor for one in self._open}
            what = "stands inside what it names" if event.anchor in open_ones else "names nothing before it"
            self._refuse(event, f"the alias *{event.anchor} {what}", "Write the value itself.")
        node, size = self._anchors[event.anchor]
        self._counted(event, size)
        self._place(node, event)

    def _scalar(self, event: Any) -> None:
        self._tag(event, plain=event.implicit[0] or event.implicit[1])
        end = event.end_mark.line + (1 if event.end_mark.column or event.style not in ("|", ">") else 0)
        line = event.start_mark.line + 1
        node = Scalar(event.value, line, event.start_mark.column, max(line, end), not event.style)
        self._counted(event, 1)
        if event.anchor:
            self._anchors[event.anchor] = (node, 1)
        self._place(node, event)

    def _begin(self, event: Any) -> None:
        self._tag(event, plain=event.implicit)
        if len(self._open) >= DEEPEST:
            self._refuse(
                event, f"lists and tables stand in one another more than {DEEPEST} deep", "A fleet file needs four."
            )
        kind = Sequence if isinstance(event, yaml.SequenceStartEvent) else Mapping
        line = event.start_mark.line + 1
        node = kind(line, event.start_mark.column, line, bool(event.flow_style))
        self._place(node, event)
        self._open.append(_Open(node, event.anchor, self._count))
        self._counted(event, 1)

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        last = event.end_mark.line + 1
        if not done.node.flow:
            inside = [part.end for part in _parts(done.node)]
            last = max([done.node.line, *inside])
        done.node.end = last
        if done.anchor:
            self._anchors[done.anchor] = (done.node, self._count - done.before)

    def _place(self, node: Node, event: Any) -> None:
        if not self._open:
            self._root = node
            return
        top = self._open[-1]
        if isinstance(top.node, Sequence):
            top.node.items.append(node)
        elif top.key is None:
            if isinstance(node, Scalar):
                top.key = node
            else:
                self._refuse(event, "a list or table stands where a name belongs", "Write a name and a colon.")
        else:
            top.node.entries.append((top.key, node))
            top.key = None

    def _tag(self, event: Any, *, plain: bool) -> None:
        if event.tag not in (None, "!") and not (plain and event.tag in _PLAIN_TAGS) and event.tag not in _PLAIN_TAGS:
            shown = event.tag.removeprefix(_CORE)[:60]
            self._refuse(event, f"the tag {shown!r} is not taken; a fleet file has text and lists only", "Take it out.")

    def _counted(self, event: Any, size: int) -> None:
        self._count += size
        if self._count > MOST:
            self._refuse(
                event,
                f"the file means more than {MOST:,} values, aliases counted with what they stand for",
                "Divide it into several fleets, or write out what is repeated under `defaults`.",
            )

    def _refuse(self, event: Any, message: str, remedy: str) -> NoReturn:
        raise InvalidInput(f"{self._source}:{event.start_mark.line + 1}: {message}.", remedy=remedy)


def _parts(node: Sequence | Mapping) -> Iterator[Node]:
    """What ends a block last: its last part."""
    if isinstance(node, Sequence):
        yield from node.items[-1:]
    elif node.entries:
        yield from node.entries[-1]
