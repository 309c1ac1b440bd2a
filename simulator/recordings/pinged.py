"""The one host that a log of ping is about: the address in its first lines, and the one that answers.

    PING host (192.0.2.1) 56(84) bytes of data.           PING host(name (2001:db8::1)) 56 data bytes
    64 bytes from 192.0.2.1: icmp_seq=1 …                 64 bytes from name (2001:db8::1): icmp_seq=1 …

The two need not be alike, as a multihomed host may answer from its other address, but neither may change. A name is
looked up for each line and may be missing in some. Errors (`From …`) come from other hosts.
"""

import re
from dataclasses import dataclass

from heartbench.simulator.recordings.lines import Block

PINGED = re.compile(rb"PING [^(]*\((?:[^\s()]+ \()?([^\s()]+)\)")
FROM = b"bytes from "
ANSWER = re.compile(re.escape(FROM) + rb"(?:\S+ \()?([^\s()]+?)\)?[:,] ")


@dataclass
class Host:
    """What is known of the host, by the lines so far."""

    pinged: bytes | None = None
    answers: bytes | None = None

    def start(self, block: Block, index: int, line: bytes) -> None:
        """Note whom a start of ping names; raise if it is another than before."""
        if match := PINGED.match(line):
            self.pinged = same(block, index, match[1], self.pinged)

    def read(self, block: Block) -> None:
        """Note who answers in a block; raise in the first line in which it is another than before."""
        first = ANSWER.search(block.text)
        if first and first[1] == self.answers and block.text.count(first[0]) == block.text.count(FROM):
            return  # most often: lines of one log are alike
        for index in range(len(block.ends)):
            if match := ANSWER.search(block.line(index)):
                self.answers = same(block, index, match[1], self.answers)


def same(block: Block, index: int, address: bytes, before: bytes | None) -> bytes:
    """Return the address; raise if it is another than before."""
    if before is not None and address != before:
        hosts = f"{address.decode(errors='replace')} beside {before.decode(errors='replace')}"
        raise block.error(index, f"a second host, {hosts}; a profile is of one network: keep the lines of one host")
    return address
