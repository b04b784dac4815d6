"""What may be written to a text: a list, for a text has no limits that a guard could hold."""

from edgetwin.config.compile.draft import Draft
from edgetwin.config.problem import shown
from edgetwin.config.schema.tags import ModbusTag, OpcuaTag, OpcuaWrite, Write
from edgetwin.core.tags import ValueType, WriteLimits


def text_limits(
    tag: ModbusTag | OpcuaTag, write: Write, kind: ValueType, draft: Draft
) -> WriteLimits:
    """The texts that may be written; what is wrong with them goes to ``draft.problems``."""
    _check_tag(tag, write, kind, draft)
    _check_options(write, draft)
    for text in write.texts:
        _check_text(text, tag, write, draft)
    last = float(len(write.texts) - 1)
    return WriteLimits(0.0, last, texts=write.texts, read_back=write.read_back)


def _check_tag(tag: ModbusTag | OpcuaTag, write: Write, kind: ValueType, draft: Draft) -> None:
    place = write.place("texts")
    if kind not in {ValueType.TEXT, ValueType.AUTO}:
        draft.problems.at(place, f"texts are for a text, not {kind}. Write min and max")
    if tag.array:
        text = "texts are written one by one. Write a tag for each, without elements"
        draft.problems.at(place, text)
    if isinstance(write, OpcuaWrite) and write.method:
        text = "a method gets a number, not a text. Remove 'method'"
        draft.problems.at(write.place("method"), text)


def _check_options(write: Write, draft: Draft) -> None:
    for key in ("min", "max", "rate", "deadband", "tolerance"):
        if getattr(write, key) is not None:
            draft.problems.at(write.place(key), f"{key} is for a number. Remove it, or 'texts'")
    if len(set(write.texts)) < len(write.texts):
        draft.problems.at(write.place("texts"), "a text stands there twice. Remove one")


def _check_text(text: str, tag: ModbusTag | OpcuaTag, write: Write, draft: Draft) -> None:
    """It must come back as it was written: the decoder cuts at NUL and takes blanks off the end."""
    place, size = write.place("texts"), len(text.encode())
    if text != text.rstrip() or not text.isprintable():
        draft.problems.at(place, f"{shown(text)} ends with a blank, or cannot be printed")
    elif isinstance(tag, ModbusTag) and tag.length and size > 2 * tag.length:
        words = f"{shown(text)} has {size} bytes, and {2 * tag.length} fit"
        draft.problems.at(place, f"{words}. Raise length, if the device has the registers")
