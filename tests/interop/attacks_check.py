#!/usr/bin/env python3
"""Counts how many documents of the attack suite plain libxmlsec accepts under the right pinned key.

    attacks_check.py FOLDER

FOLDER is what `VIERECK_ATTACKS=FOLDER cargo test --release -p viereck-tests --test attacks` has written: one folder for
each kind of key, with sender.pem, other.pem and one folder for each family. "Plain" is what the documentation of a
library leads to: parse, register the Ids, take the first ds:Signature of the document, verify it with the pinned
certificate. What such a caller must do besides is what the suite is about. The malleable documents are counted apart:
they should verify.

Prints one line per kind of key and family, then the sum. Exit code 0 when it ran, whatever was accepted.
Needs PyPI `xmlsec` and `lxml`.
"""

import pathlib
import sys

import xmlsec
from lxml import etree

SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"


def accepted(octets, certificates):
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        root = etree.fromstring(octets, parser)
        xmlsec.tree.add_ids(root, ["Id"])
        signature = next(root.iter(SIGNATURE), None)
    except (etree.XMLSyntaxError, xmlsec.Error, ValueError):
        return False
    if signature is None:
        return False
    for certificate in certificates:
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_file(str(certificate), xmlsec.KeyFormat.CERT_PEM)
        try:
            context.verify(signature)
            return True
        except xmlsec.Error:
            continue
    return False


def main(folder):
    sums = {"attacks": [0, 0], "malleable": [0, 0]}
    for kind in sorted(path for path in folder.iterdir() if path.is_dir()):
        # whatever it says of itself, a document has to verify under the key that is pinned for its sender
        certificates = [kind / "sender.pem"]
        for family in sorted(path for path in kind.iterdir() if path.is_dir()):
            # a receipt batch is signed by the other gateway
            pinned = [kind / "other.pem"] if family.name == "batches" else certificates
            documents = sorted(family.glob("*.xml"))
            names = [document.stem for document in documents if accepted(document.read_bytes(), pinned)]
            sort = "malleable" if family.name == "malleable" else "attacks"
            sums[sort][0] += len(names)
            sums[sort][1] += len(documents)
            print(f"{kind.name:<9} {family.name:<16} {len(names):>4} of {len(documents):>4} accepted")
            if sort == "attacks" and "--names" in sys.argv:
                for name in names:
                    print(f"    {name}")
    print(
        f"libxmlsec {'.'.join(map(str, xmlsec.get_libxmlsec_version()))}: "
        f"{sums['attacks'][0]} of {sums['attacks'][1]} attacks accepted; "
        f"malleable: {sums['malleable'][0]} of {sums['malleable'][1]} verified"
    )
    return 0


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--names"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(arguments[0])))
