"""Which name and role a certificate proves."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.hub.security.identity import DNS, URI, Grant, Identity, Role, certified, grant_of

NODE, OPERATOR = Role.NODE, Role.OPERATOR


def node(name: str) -> Identity:
    return Identity((Grant(NODE, name),))


@pytest.mark.parametrize(
    ("connection", "identity"),
    [
        ({URI: [b"heartbench://node/edge-7"], "x509_common_name": [b"other"]}, node("edge-7")),
        ({URI: [b"heartbench://node/rack%2F1%20%C3%A9"]}, node("rack/1 é")),
        ({URI: [b"heartbench://operator/alice"]}, Identity((Grant(OPERATOR, "alice"),))),
        ({URI: [b"https://example.org"], DNS: [b"edge-7", b"edge-8"], "x509_common_name": [b"x"]},
         Identity((Grant(NODE, "edge-7"), Grant(NODE, "edge-8")))),
        ({"x509_common_name": ["é".encode()]}, node("é")),
        # A name that only looks like one of ours is one of another PKI.
        ({DNS: [b"heartbench://operator/alice"]}, node("heartbench://operator/alice")),
        # Another PKI's wildcard stands for hosts.
        ({DNS: [b"*.example.org"]}, None),
        ({URI: [b"heartbench://admin/x"]}, None),
        ({URI: [b"heartbench://node/"]}, None),
        ({"x509_common_name": [b""]}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_a_certificate_states_roles_and_names(connection: dict[str, list[bytes]], identity: Identity | None) -> None:
    assert certified(connection) == identity


@pytest.mark.parametrize(
    ("name", "node_id", "covered"),
    [("edge-7", "edge-7", True), ("edge-7", "edge-70", False), ("edge-*", "edge-70", True), ("*", "any\nname", True),
     ("e*7", "edge-7", True), ("e*7", "edge-8", False), ("a.c", "abc", False), ("edge-*", "EDGE-7", False)],
)  # fmt: skip
def test_a_star_stands_for_any_characters(name: str, node_id: str, covered: bool) -> None:
    assert node(name).may_be(node_id) is covered
    assert not node(name).is_operator


@given(pattern=st.text("ab*", max_size=8), name=st.text("ab*\n", max_size=12))
def test_patterns_are_those_of_a_regular_expression(pattern: str, name: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert Grant(NODE, pattern).covers(name) is bool(re.fullmatch(expression, name, re.DOTALL))


def test_a_name_that_was_made_for_a_pattern_does_not_hold_the_hub_up() -> None:
    assert not Grant(NODE, "*a*a*a*a*b*").covers("a" * 100_000)  # a regular expression would not end


def test_an_operator_may_be_any_node() -> None:
    operator = Identity((Grant(OPERATOR, "alice"),))
    assert operator.is_operator
    assert operator.may_be("edge-7")


@pytest.mark.parametrize("name", ["edge-7", "edge-*", "rack/1 é", "100%", "a?b#c", "."])
def test_each_name_survives_its_uri(name: str) -> None:
    assert grant_of(Grant(NODE, name).uri) == Grant(NODE, name)
