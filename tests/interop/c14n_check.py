#!/usr/bin/env python3
"""Canonicalizes a stream of documents with libxml2: exclusive, without comments.

    c14n_check.py < QUESTIONS > ANSWERS

A question is two strings: the document, and the Id of the one element that is wanted or nothing for all of it. An
answer is one octet (0 = canonicalized, 1 = refused) and one string: the canonical form, or why it was refused. A string
is its length in four octets, the most significant first, and its octets. One process answers as many questions as there
are; it ends with its input.

Needs PyPI `lxml`.
"""

import struct
import sys

from lxml import etree


def canonicalized(document, wanted):
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, strip_cdata=False)
    root = etree.fromstring(document, parser)
    node = root.getroottree()
    if wanted:
        found = root.xpath("//*[@Id = $wanted]", wanted=wanted.decode())
        if len(found) != 1:
            raise ValueError(f"{len(found)} elements with this Id")
        node = found[0]
    return etree.tostring(node, method="c14n", exclusive=True, with_comments=False, with_tail=False)


def read_string(stream):
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    return stream.read(length)


def main():
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    while (document := read_string(questions)) is not None:
        wanted = read_string(questions)
        try:
            verdict, said = 0, canonicalized(document, wanted)
        except (etree.LxmlError, ValueError) as refusal:
            verdict, said = 1, str(refusal).encode()
        answers.write(struct.pack(">BI", verdict, len(said)) + said)
        answers.flush()


if __name__ == "__main__":
    main()
