#!/usr/bin/env python3
"""libxmlsec, by PyPI's `xmlsec`: whole documents, with nothing but what the standards say.

    libxmlsec.py verify FILE CERTIFICATE.pem
    libxmlsec.py sign TEMPLATE KEY.pem                   prints the three digests and the signature value
    libxmlsec.py open FILE READER.pem READER-KEY.pem     prints the SHA-256 of each file
"""

import base64
import hashlib
import sys

import xmlsec
from lxml import etree

DS = "{http://www.w3.org/2000/09/xmldsig#}"
XENC = "{http://www.w3.org/2001/04/xmlenc#}"
OWN = "{urn:viereck:envelope:1}"


class Refused(Exception):
    """The document is not what it should be."""


def parse(path):
    with open(path, "rb") as file:
        root = etree.fromstring(file.read(), etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    # Without a DTD a library has to be told which attributes are identifiers.
    xmlsec.tree.add_ids(root, ["Id"])
    return root


def signature_of(root):
    signatures = root.findall(DS + "Signature")
    if len(signatures) != 1:
        raise Refused(f"{len(signatures)} signatures")
    return signatures[0]


def verify(root, certificate):
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_file(certificate, xmlsec.KeyFormat.CERT_PEM)
    context.verify(signature_of(root))


def sign(root, key):
    signature = signature_of(root)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_file(key, xmlsec.KeyFormat.PEM)
    context.sign(signature)
    values = [*signature.findall(f"{DS}SignedInfo/{DS}Reference/{DS}DigestValue"), signature.find(DS + "SignatureValue")]
    print("\n".join("".join(value.text.split()) for value in values))


def open_content(root, key):
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_file(key, xmlsec.KeyFormat.PEM))
    manifest, *padded = [
        xmlsec.EncryptionContext(manager).decrypt(node) for node in list(root.iter(XENC + "EncryptedData"))
    ]
    digest = base64.b64encode(hashlib.sha256(manifest).digest()).decode()
    if digest != root.findtext(f"{OWN}Header/{OWN}Commitment"):
        raise Refused("the manifest is not the one that the header commits to")
    entries = etree.fromstring(manifest).findall(f"{OWN}Files/{OWN}File")
    for entry, octets in zip(entries, padded, strict=True):
        print(hashlib.sha256(octets[: int(entry.get("length"))]).hexdigest())


def main(verb, file, *others):
    root = parse(file)
    if verb == "verify":
        verify(root, others[0])
    elif verb == "sign":
        sign(root, others[0])
    elif verb == "open":
        open_content(root, others[1])
    else:
        return 2
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except (Refused, xmlsec.Error, etree.XMLSyntaxError) as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        sys.exit(1)
