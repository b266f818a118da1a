"""What the peers in Python share: how they are asked and answer (see harness/peers.rs), and where the parts of an envelope
stand. Nothing here knows XML Signature or XML Encryption.
"""

import base64
import hashlib
import sys

from lxml import etree

DS = "{http://www.w3.org/2000/09/xmldsig#}"
XENC = "{http://www.w3.org/2001/04/xmlenc#}"
OWN = "{urn:viereck:envelope:1}"


class Refused(Exception):
    """The document is not what it should be."""


def read(path):
    with open(path, "rb") as file:
        return file.read()


def signature_of(root):
    signatures = root.findall(DS + "Signature")
    if len(signatures) != 1:
        raise Refused(f"{len(signatures)} signatures")
    return signatures[0]


def values(root):
    """The three digests and the signature value, as elements."""
    signature = signature_of(root)
    return [*signature.findall(f"{DS}SignedInfo/{DS}Reference/{DS}DigestValue"), signature.find(DS + "SignatureValue")]


def tell_signed(root):
    print("\n".join("".join(value.text.split()) for value in values(root)))


def tell_files(root, manifest, padded):
    """The SHA-256 of each file, without its padding, if the manifest is the one that the header commits to."""
    digest = base64.b64encode(hashlib.sha256(manifest).digest()).decode()
    if digest != root.findtext(f"{OWN}Header/{OWN}Commitment"):
        raise Refused("the manifest is not the one that the header commits to")
    entries = etree.fromstring(manifest).findall(f"{OWN}Files/{OWN}File")
    for entry, octets in zip(entries, padded, strict=True):
        print(hashlib.sha256(octets[: int(entry.get("length"))]).hexdigest())


def main(usage, verbs, *refusals):
    """Asks one of `verbs` as the command line says: exit code 0 = done, 1 = refused, 2 = wrong usage."""
    if len(sys.argv) < 4 or sys.argv[1] not in verbs:
        print(usage, file=sys.stderr)
        sys.exit(2)
    try:
        verbs[sys.argv[1]](*sys.argv[2:])
    except (Refused, etree.LxmlError, *refusals) as refusal:
        print(f"refused: {type(refusal).__name__}: {refusal}", file=sys.stderr)
        sys.exit(1)
