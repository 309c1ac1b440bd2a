"""Probes and answers as bytes."""

from hypothesis import given
from hypothesis import strategies as st

from heartbench.simulator.probing.messages import (
    SEEN_BITS,
    SIZE_BYTES,
    Answer,
    Probe,
    decode_answer,
    decode_probe,
    encode_answer,
    encode_probe,
)

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
ANSWERS = st.builds(
    Answer, U64, U32, st.integers(-(2**63), 2**63 - 1), U32, U32, U32, st.integers(0, (1 << SEEN_BITS) - 1)
)


@given(ANSWERS)
def test_an_answer_is_decoded_as_it_was_encoded(answer: Answer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


@given(U64, U32)
def test_a_probe_is_decoded_as_it_was_encoded(session: int, number: int) -> None:
    assert decode_probe(encode_probe(Probe(session, number))) == Probe(session, number)


@given(st.binary(max_size=100))
def test_anything_else_is_neither(data: bytes) -> None:
    assert decode_probe(data) is None
    assert decode_answer(data) is None


def test_an_answer_is_no_longer_than_its_probe_and_no_probe() -> None:
    answer = encode_answer(Answer(1, 2, 3, 4, 5, 6, 7))
    assert len(answer) == len(encode_probe(Probe(1, 2))) == SIZE_BYTES
    assert decode_probe(answer) is None
