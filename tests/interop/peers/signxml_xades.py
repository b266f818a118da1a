#!/usr/bin/env python3
"""PyPI's `signxml` with its XAdES verifier.

    signxml_xades.py verify FILE CERTIFICATE.pem
"""

import sys

from cryptography import x509
from lxml import etree
from signxml import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.xades import XAdESSignatureConfiguration, XAdESVerifier


def verify(document, certificate):
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
    XAdESVerifier().verify(document, x509_cert=certificate, expect_config=configuration)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] != "verify":
        sys.exit(__doc__)
    with open(sys.argv[2], "rb") as file, open(sys.argv[3], "rb") as pem:
        document, certificate = file.read(), x509.load_pem_x509_certificate(pem.read())
    try:
        verify(document, certificate)
    except (SignXMLException, etree.LxmlError, ValueError) as refusal:
        print(f"refused: {type(refusal).__name__}: {refusal}", file=sys.stderr)
        sys.exit(1)
