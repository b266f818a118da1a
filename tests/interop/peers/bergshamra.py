#!/usr/bin/env python3
"""bergshamra, written in Rust on libraries that we do not use, by PyPI's `pybergshamra`.

    bergshamra.py verify FILE CERTIFICATE.pem
    bergshamra.py sign TEMPLATE KEY.pem                   prints the three digests and the signature value
    bergshamra.py open FILE READER.pem READER-KEY.pem     prints the SHA-256 of each file
"""

import peer
import pybergshamra
from lxml import etree


def holding(key):
    manager = pybergshamra.KeysManager()
    manager.add_key(key)
    return manager


def private(file):
    return holding(pybergshamra.load_pem_auto(peer.read(file)))


def dsig(manager):
    # Its strict mode knows no XAdES: it takes signed properties, which lie within the signature, for an attack.
    return pybergshamra.DsigContext(manager, strict_verification=False)


def verify(file, certificate):
    pinned = holding(pybergshamra.load_x509_cert_pem(peer.read(certificate)))
    result = pybergshamra.verify(dsig(pinned), peer.read(file).decode())
    if not result:
        raise peer.Refused(result.reason)
    uris = [reference.uri for reference in result.references if reference.digest_verified]
    if uris != ["#header", "#content", "#signed-properties"]:
        raise peer.Refused(f"what it verified is {uris}")


def sign(file, key):
    template = etree.fromstring(peer.read(file))
    # it fills in what is empty, and keeps what is there
    for value in peer.values(template):
        value.text = ""
    signed = pybergshamra.sign(dsig(private(key)), etree.tostring(template, encoding="unicode"))
    peer.tell_signed(etree.fromstring(signed.encode()))


def decrypted(octets, number, context):
    """One ciphertext. It decrypts the first of a document in its place, so this one is moved before all others."""
    root = etree.fromstring(octets)
    document, place = etree.Element("document"), etree.Element("place")
    place.append(list(root.iter(peer.XENC + "EncryptedData"))[number])
    document.extend([place, root])
    plain = pybergshamra.decrypt_to_bytes(context, etree.tostring(document, encoding="unicode"))
    return plain.removeprefix(b"<document><place>")


def open_content(file, _certificate, key):
    octets, context = peer.read(file), pybergshamra.EncContext(private(key))
    root = etree.fromstring(octets)
    manifest, *padded = [
        decrypted(octets, number, context) for number, _ in enumerate(root.iter(peer.XENC + "EncryptedData"))
    ]
    # What is XML it parses and writes anew, so its canonical form is what was encrypted.
    manifest = manifest.partition(b"</place>")[0].decode()
    peer.tell_files(root, pybergshamra.canonicalize(manifest, pybergshamra.C14nMode.Exclusive), padded)


if __name__ == "__main__":
    peer.main(__doc__, {"verify": verify, "sign": sign, "open": open_content}, pybergshamra.BergshamraError)
