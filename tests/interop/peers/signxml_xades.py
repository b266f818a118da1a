#!/usr/bin/env python3
"""PyPI's `signxml` with its XAdES verifier.

    signxml_xades.py verify FILE CERTIFICATE.pem
"""

import peer
from cryptography import x509
from signxml import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.xades import XAdESSignatureConfiguration, XAdESVerifier


def verify(file, certificate):
    configuration = XAdESSignatureConfiguration(
        expect_references=3,
        signature_methods=frozenset(
            {
                SignatureMethod.ECDSA_SHA256,
                SignatureMethod.SHA256_RSA_MGF1,
                SignatureMethod.SHA512_RSA_MGF1,
            }
        ),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
    )
    pinned = x509.load_pem_x509_certificate(peer.read(certificate))
    document = peer.read(file)
    try:
        XAdESVerifier().verify(document, x509_cert=pinned, expect_config=configuration)
    except ValueError as refusal:
        raise peer.Refused(str(refusal)) from refusal


if __name__ == "__main__":
    peer.main(__doc__, {"verify": verify}, SignXMLException)
