#!/usr/bin/env python3
"""libxmlsec, by PyPI's `xmlsec`: whole documents, with nothing but what the standards say.

    libxmlsec.py verify FILE CERTIFICATE.pem
    libxmlsec.py sign TEMPLATE KEY.pem                   prints the three digests and the signature value
    libxmlsec.py open FILE READER.pem READER-KEY.pem     prints the SHA-256 of each file
"""

import peer
import xmlsec
from lxml import etree


def parse(path):
    root = etree.fromstring(peer.read(path), etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    # Without a DTD a library has to be told which attributes are identifiers.
    xmlsec.tree.add_ids(root, ["Id"])
    return root


def verify(file, certificate):
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_file(certificate, xmlsec.KeyFormat.CERT_PEM)
    context.verify(peer.signature_of(parse(file)))


def sign(file, key):
    root = parse(file)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_file(key, xmlsec.KeyFormat.PEM)
    context.sign(peer.signature_of(root))
    peer.tell_signed(root)


def open_content(file, _certificate, key):
    root = parse(file)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_file(key, xmlsec.KeyFormat.PEM))
    manifest, *padded = [
        xmlsec.EncryptionContext(manager).decrypt(node) for node in list(root.iter(peer.XENC + "EncryptedData"))
    ]
    peer.tell_files(root, manifest, padded)


if __name__ == "__main__":
    peer.main(__doc__, {"verify": verify, "sign": sign, "open": open_content}, xmlsec.Error)
