"""Strategies for what no honest client sends: messages with any values, and bytes that are no messages."""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

INTEGERS = (0, 1, 2, 3, 7, 2**31 - 1, 2**32, 2**40, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
FLOATS = (0.0, 0.001, 1.0, -1.0, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", "a", "b", "é", "../a", "a/b", "/", "\0", "two\nlines\x1b[2J\u2028", "MQ==", "1/1", "x" * 300, "y" * 5000)
BLOBS = (b"", b"x", b"yy", b"\xff\xfe", bytes(700), bytes(9000))


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Return a strategy for the values of a field."""
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_MESSAGE:
            assert field.message_type is not None
            return messages(field.message_type)
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return st.sampled_from(BLOBS)
        case FieldDescriptor.CPPTYPE_STRING:
            return st.sampled_from(TEXTS)
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return st.sampled_from(FLOATS)
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_UINT32:
            return st.sampled_from([value for value in INTEGERS if value < 2**32])
        case FieldDescriptor.CPPTYPE_INT32 | FieldDescriptor.CPPTYPE_ENUM:
            return st.sampled_from([-1, *(value for value in INTEGERS if value < 2**31)])
        case _:
            return st.sampled_from(INTEGERS)


def messages(of: Descriptor) -> st.SearchStrategy[Any]:
    """Return a strategy for messages of a type, with any of its fields."""
    fields = {}
    for field in of.fields:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            fields[field.name] = st.dictionaries(st.sampled_from(TEXTS), st.sampled_from(TEXTS), max_size=2)
        else:
            fields[field.name] = values(field)
    kind: Any = of._concrete_class  # (the class, of which the descriptor is the only public trace)
    return st.fixed_dictionaries({}, optional=fields).map(lambda found: kind(**found))


@st.composite
def bytes_of(draw: st.DrawFn, of: Descriptor) -> bytes:
    """Return a message in bytes; or with some bytes changed, or cut; or only bytes."""
    data = bytearray(draw(messages(of)).SerializeToString())
    damage = draw(st.sampled_from(["none", "none", "none", "change", "cut", "random"]))
    if damage == "random":
        return draw(st.binary(max_size=40))
    if damage == "change" and data:
        for at, value in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=3)):
            data[at] = value
    if damage == "cut":
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data)
