#!/usr/bin/env python3
"""Counts how many documents of the attack suite plain libxmlsec accepts under the right pinned key.

    attacks_check.py FOLDER [--names]

FOLDER is what `VIERECK_ATTACKS=FOLDER cargo test --release -p viereck-tests --test attacks` has written: one folder for
each kind of key, with sender.pem, other.pem and one folder for each family. "Plain" is what the documentation of a
library leads to: parse, register the Ids, take the first ds:Signature of the document, verify it with the pinned
certificate. What such a caller has to do besides is what the suite is about. Attacks of somebody on the path, who has no
key, are counted apart from those that are signed rightly and must be refused for what they say; so are the malleable
documents, which should verify. A document without an answer within ten seconds is counted as such.

Prints one line per kind of key and family (with --names also what was accepted), then the sum. Exit code 0 when it ran,
whatever was accepted. Needs PyPI `xmlsec` and `lxml`.
"""

import os
import pathlib
import signal
import sys

import xmlsec
from lxml import etree

SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"
SECONDS = 10


def accepts(octets, certificate):
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        root = etree.fromstring(octets, parser)
        xmlsec.tree.add_ids(root, ["Id"])
        signature = next(root.iter(SIGNATURE), None)
        if signature is None:
            return False
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_file(str(certificate), xmlsec.KeyFormat.CERT_PEM)
        context.verify(signature)
    except (etree.XMLSyntaxError, xmlsec.Error, ValueError):
        return False
    return True


def judge(document, certificate):
    """In a process of its own, which a document may crash or hold up."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        os._exit(0 if accepts(document.read_bytes(), certificate) else 1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "no answer"
    return {0: "accepted", 1: "refused"}.get(os.WEXITSTATUS(status), "no answer")


def main(folder, names):
    sums = {}
    for kind in sorted(path for path in folder.iterdir() if path.is_dir()):
        for family in sorted(path for path in kind.iterdir() if path.is_dir()):
            # a receipt batch is signed by the other gateway
            certificate = kind / ("other.pem" if family.name == "batches" else "sender.pem")
            counts = {}
            for document in sorted(family.glob("*.xml")):
                verdict = judge(document, certificate)
                attacker = document.stem.split("-")[1]
                sort = "malleable" if family.name == "malleable" else "path" if attacker == "path" else "signed"
                for count in (counts, sums.setdefault(sort, {})):
                    count[verdict] = count.get(verdict, 0) + 1
                if names and verdict != "refused":
                    print(f"    {verdict}: {document.stem}")
            said = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
            print(f"{kind.name:<9} {family.name:<16} {said}", flush=True)
    version = ".".join(map(str, xmlsec.get_libxmlsec_version()))
    for sort, counts in sums.items():
        print(f"libxmlsec {version}, {sort}: {counts.get('accepted', 0)} of {sum(counts.values())} accepted, "
              f"{counts.get('no answer', 0)} without an answer in {SECONDS} s")
    return 0


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--names"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(arguments[0]), "--names" in sys.argv))
