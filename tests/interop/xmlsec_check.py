#!/usr/bin/env python3
"""Checks an envelope or receipt batch with libxmlsec, an implementation that shares no code with ours.

    xmlsec_check.py verify FILE CERTIFICATE.pem
    xmlsec_check.py open FILE READER-KEY.pem [--out FOLDER]

`verify` checks the one signature with the given certificate; the certificate inside the document is not used.
`open` decrypts every part with the reader's key alone: the document is not edited and the originator's key is not
named. With --out it writes manifest.xml and part-01, part-02, ... with their true lengths. One line on standard
output says what was found; exit code 0 = good, 1 = refused, 2 = wrong usage.

Needs PyPI `xmlsec` (libxmlsec 1.3) and `lxml`.
"""

import argparse
import base64
import hashlib
import pathlib
import sys

import xmlsec
from lxml import etree

DS = "{http://www.w3.org/2000/09/xmldsig#}"
XENC = "{http://www.w3.org/2001/04/xmlenc#}"
OWN = "{urn:viereck:envelope:1}"


class Refused(Exception):
    """The document is not what it should be."""


def parse(octets):
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    root = etree.fromstring(octets, parser)
    # Without a DTD a library has to be told which attributes are identifiers.
    xmlsec.tree.add_ids(root, ["Id"])
    return root


def verify(root, certificate):
    signatures = root.findall(DS + "Signature")
    if len(signatures) != 1:
        raise Refused(f"{len(signatures)} signatures")
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_file(certificate, xmlsec.KeyFormat.CERT_PEM)
    context.verify(signatures[0])
    references = [reference.get("URI") for reference in signatures[0].iter(DS + "Reference")]
    return "verified " + " ".join(references)


def decrypt(root, key):
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_file(key, xmlsec.KeyFormat.PEM))
    return [xmlsec.EncryptionContext(manager).decrypt(node) for node in root.iter(XENC + "EncryptedData")]


def open_content(root, key, folder):
    manifest_octets, *padded = decrypt(root, key)
    commitment = root.findtext(f"{OWN}Header/{OWN}Commitment")
    if base64.b64encode(hashlib.sha256(manifest_octets).digest()).decode() != commitment:
        raise Refused("the manifest is not the one that the header commits to")
    manifest = etree.fromstring(manifest_octets)
    entries = manifest.findall(f"{OWN}Files/{OWN}File")
    if len(entries) != len(padded):
        raise Refused(f"{len(entries)} files in the manifest, {len(padded)} in the envelope")
    files = []
    for entry, octets in zip(entries, padded):
        octets = octets[: int(entry.get("length"))]
        if base64.b64encode(hashlib.sha256(octets).digest()).decode() != entry.get("digest"):
            raise Refused("a file is not the one that the manifest names")
        files.append(octets)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.xml").write_bytes(manifest_octets)
        for number, octets in enumerate(files, 1):
            (folder / f"part-{number:02}").write_bytes(octets)
    return f"opened {len(files)} files"


def main():
    parser = argparse.ArgumentParser(description="Checks an envelope with libxmlsec.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    check = verbs.add_parser("verify")
    check.add_argument("file", type=pathlib.Path)
    check.add_argument("certificate")
    opening = verbs.add_parser("open")
    opening.add_argument("file", type=pathlib.Path)
    opening.add_argument("key")
    opening.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    try:
        root = parse(arguments.file.read_bytes())
        if arguments.verb == "verify":
            print(verify(root, arguments.certificate))
        else:
            print(open_content(root, arguments.key, arguments.out))
    except (Refused, xmlsec.Error, etree.XMLSyntaxError) as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
