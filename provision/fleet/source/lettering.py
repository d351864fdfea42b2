"""Letters that pass for others: text in which two alphabets meet in one word, and characters that show nothing.

Owns: the judgement of one text, by Unicode's own names. Does not own: which fields may have other letters than plain
Latin ones (``fields``).

A fleet file is pasted together from mails and web pages, where a Cyrillic A looks like a Latin one and makes
another address. Unicode, "UTS #39: Unicode Security Mechanisms", calls this mixed-script confusables; what is refused
here is the mixture within a word, whatever the letters look like, and the sentence names them.
"""

from __future__ import annotations

import re
import unicodedata

_JAPANESE = frozenset({"CJK", "HIRAGANA", "KATAKANA"})
"""Written together in one word."""


def name_of(character: str) -> str:
    """A character's number and name: ``U+0410 (CYRILLIC CAPITAL LETTER A)``."""
    return f"U+{ord(character):04X} ({unicodedata.name(character, 'a control character')})"


def complaint(text: str, *, latin: bool = False) -> str | None:
    """What is strange about the letters of a text; None when nothing is.

    Args:
        text: any.
        latin: whether plain Latin letters and signs (ASCII) are all that may be in it.
    """
    if text.isascii() and text.isprintable():
        return None
    for character in text:
        if latin and not character.isascii():
            return f"holds {name_of(character)}, which is not a plain Latin letter or sign"
        if not character.isprintable():
            return f"holds {name_of(character)}, which does not show"
    for word in re.findall(r"[^\W\d_]+", text):
        scripts = {_script(letter): letter for letter in reversed(word) if letter.isalpha()}
        if len(scripts) > 1 and not scripts.keys() <= _JAPANESE:
            named = " and ".join(name_of(letter) for letter in sorted(scripts.values()))
            return f"mixes alphabets within a word: {named}"
    return None


def _script(letter: str) -> str:
    """The alphabet of a letter, as Unicode's name for it begins; a letter without a name is its own."""
    return unicodedata.name(letter, letter).split(" ", 1)[0].partition("-")[0]
