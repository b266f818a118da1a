#!/usr/bin/env python3
"""bergshamra, written in Rust on libraries that we do not use, by PyPI's `pybergshamra`.

    bergshamra.py verify FILE CERTIFICATE.pem
    bergshamra.py sign TEMPLATE KEY.pem                   prints the three digests and the signature value
    bergshamra.py open FILE READER.pem READER-KEY.pem     prints the SHA-256 of each file
"""

import base64
import hashlib
import sys

import pybergshamra
from lxml import etree

DS = "{http://www.w3.org/2000/09/xmldsig#}"
XENC = "{http://www.w3.org/2001/04/xmlenc#}"
OWN = "{urn:viereck:envelope:1}"


class Refused(Exception):
    """The document is not what it should be."""


def read(path):
    with open(path, "rb") as file:
        return file.read()


def key_of(octets):
    manager = pybergshamra.KeysManager()
    manager.add_key(pybergshamra.load_pem_auto(octets))
    return manager


def dsig(manager):
    # Its strict mode knows no XAdES: it takes signed properties, which lie within the signature, for an attack.
    return pybergshamra.DsigContext(manager, strict_verification=False)


def verify(text, certificate):
    manager = pybergshamra.KeysManager()
    manager.add_key(pybergshamra.load_x509_cert_pem(read(certificate)))
    result = pybergshamra.verify(dsig(manager), text)
    if not result:
        raise Refused(result.reason)
    uris = [reference.uri for reference in result.references if reference.digest_verified]
    if uris != ["#header", "#content", "#signed-properties"]:
        raise Refused(f"what it verified is {uris}")


def values(root):
    signature = root.find(DS + "Signature")
    return [*signature.findall(f"{DS}SignedInfo/{DS}Reference/{DS}DigestValue"), signature.find(DS + "SignatureValue")]


def sign(text, key):
    template = etree.fromstring(text.encode())
    # it fills in what is empty, and keeps what is there
    for value in values(template):
        value.text = ""
    signed = pybergshamra.sign(dsig(key_of(read(key))), etree.tostring(template, encoding="unicode"))
    print("\n".join("".join(value.text.split()) for value in values(etree.fromstring(signed.encode()))))


def decrypted(text, number, context):
    """One ciphertext. It decrypts the first of a document in its place, so this one is moved before all others."""
    root = etree.fromstring(text.encode())
    document, place = etree.Element("document"), etree.Element("place")
    place.append(list(root.iter(XENC + "EncryptedData"))[number])
    document.extend([place, root])
    octets = pybergshamra.decrypt_to_bytes(context, etree.tostring(document, encoding="unicode"))
    return octets.removeprefix(b"<document><place>")


def open_content(text, key):
    context = pybergshamra.EncContext(key_of(read(key)))
    # What is XML it parses and writes anew, so its canonical form is what was encrypted.
    manifest = decrypted(text, 0, context).partition(b"</place>")[0].decode()
    manifest = pybergshamra.canonicalize(manifest, pybergshamra.C14nMode.Exclusive)
    digest = base64.b64encode(hashlib.sha256(manifest).digest()).decode()
    if digest != etree.fromstring(text.encode()).findtext(f"{OWN}Header/{OWN}Commitment"):
        raise Refused("the manifest is not the one that the header commits to")
    entries = etree.fromstring(manifest).findall(f"{OWN}Files/{OWN}File")
    for number, entry in enumerate(entries, start=1):
        padded = decrypted(text, number, context)
        print(hashlib.sha256(padded[: int(entry.get("length"))]).hexdigest())


def main(verb, file, *others):
    text = read(file).decode()
    if verb == "verify":
        verify(text, others[0])
    elif verb == "sign":
        sign(text, others[0])
    elif verb == "open":
        open_content(text, others[1])
    else:
        return 2
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except (Refused, pybergshamra.BergshamraError, etree.XMLSyntaxError) as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        sys.exit(1)
