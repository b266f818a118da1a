#!/usr/bin/env python3
"""The wire format written once more, from its description alone, over PyPI's `cryptography`: no XML library takes part.

    plain.py verify FILE CERTIFICATE.pem
    plain.py sign TEMPLATE KEY.pem                       prints the three digests and the signature value
    plain.py open FILE READER.pem READER-KEY.pem [ML-KEM-KEY.pem]    prints the SHA-256 of each file
    plain.py seal FILE READER.pem PAYLOAD [ML-KEM.pem]   replaces Content, and Commitment in the header, by its own

It looks for the elements of the profile by their text, as canonical spelling allows. Exit code 0 = done, 1 = refused
with a line on standard error, 2 = wrong usage.
"""

import base64
import hashlib
import os
import re
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
KW_AES256 = "http://www.w3.org/2001/04/xmlenc#kw-aes256"
ECDH_ES = "http://www.w3.org/2009/xmlenc11#ECDH-ES"
HYBRID = "urn:viereck:algorithm:ecdh-es-p256-ml-kem-768"


class Refused(Exception):
    """The document is not what it should be."""


def sha256(octets):
    return hashlib.sha256(octets).digest()


def b64(octets):
    return base64.b64encode(octets).decode()


def element(text, name):
    found = re.search(rf"<{name}[ >].*?</{name}>", text, re.DOTALL)
    if not found:
        raise Refused(f"no {name}")
    return found.group(0)


def content(text, name):
    return re.fullmatch(r"<[^>]*>(.*)</[^>]*>", element(text, name), re.DOTALL).group(1)


# --- signature -------------------------------------------------------------------------------------------------------


def parts(text):
    return [element(text, name) for name in ("Header", "Content", "xades:SignedProperties")]


def pss(key):
    algorithm = hashes.SHA256() if key.key_size < 4096 else hashes.SHA512()
    return padding.PSS(mgf=padding.MGF1(algorithm), salt_length=algorithm.digest_size), algorithm


def verify(text, certificate):
    signed_info = element(text, "ds:SignedInfo")
    digests = re.findall(r"<ds:DigestValue>([^<]*)<", signed_info)
    if digests != [b64(sha256(part.encode())) for part in parts(text)]:
        raise Refused("a digest does not fit")
    value = base64.b64decode(content(text, "ds:SignatureValue"))
    key = certificate.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            der = utils.encode_dss_signature(int.from_bytes(value[:32]), int.from_bytes(value[32:]))
            key.verify(der, signed_info.encode(), ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(value, signed_info.encode(), *pss(key))
    except InvalidSignature:
        raise Refused("the signature does not verify") from None


def sign(text, key):
    digests = [b64(sha256(part.encode())) for part in parts(text)]
    signed_info = element(text, "ds:SignedInfo")
    fresh = iter(digests)
    signed_info = re.sub(r"(<ds:DigestValue>)[^<]*", lambda found: found.group(1) + next(fresh), signed_info)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = utils.decode_dss_signature(key.sign(signed_info.encode(), ec.ECDSA(hashes.SHA256())))
        value = r.to_bytes(32) + s.to_bytes(32)
    else:
        value = key.sign(signed_info.encode(), *pss(key))
    print("\n".join([*digests, b64(value)]))


# --- ML-KEM-768: the decapsulation of FIPS 203 from an expanded key, which `cryptography` takes as a seed only -----------

Q = 3329


def reversed_bits(number):
    return int(f"{number:07b}"[::-1], 2)


ZETAS = [pow(17, reversed_bits(number), Q) for number in range(128)]
GAMMAS = [pow(17, 2 * reversed_bits(number) + 1, Q) for number in range(128)]


def numbers(octets, bits):
    whole = int.from_bytes(octets, "little")
    return [(whole >> (bits * at)) & ((1 << bits) - 1) for at in range(256)]


def decompressed(octets, bits):
    return [(Q * number + (1 << (bits - 1))) >> bits for number in numbers(octets, bits)]


def ntt(f):
    f, at, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[at] * f[j + length] % Q
                f[j], f[j + length] = (f[j] + t) % Q, (f[j] - t) % Q
            at += 1
        length //= 2
    return f


def inverse_ntt(f):
    f, at, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                f[j], f[j + length] = (f[j] + f[j + length]) % Q, ZETAS[at] * (f[j + length] - f[j]) % Q
            at -= 1
        length *= 2
    return [number * 3303 % Q for number in f]


def product(f, g):
    out = []
    for at, gamma in enumerate(GAMMAS):
        (a, b), (c, d) = f[2 * at : 2 * at + 2], g[2 * at : 2 * at + 2]
        out += [(a * c + b * d * gamma) % Q, (a * d + b * c) % Q]
    return out


def decapsulate(key, ciphertext):
    """Without the re-encryption that finds a ciphertext that was tampered with: it is bound by the derivation here."""
    inner = [0] * 256
    for at in range(3):
        secret = numbers(key[384 * at : 384 * (at + 1)], 12)
        u = ntt(decompressed(ciphertext[320 * at : 320 * (at + 1)], 10))
        inner = [(one + other) % Q for one, other in zip(inner, product(secret, u))]
    noisy = [(v - w) % Q for v, w in zip(decompressed(ciphertext[960:], 4), inverse_ntt(inner))]
    bits = sum(((2 * number + Q // 2) // Q % 2) << at for at, number in enumerate(noisy))
    message = bits.to_bytes(32, "little")
    return hashlib.sha3_512(message + key[2336:2368]).digest()[:32]


# --- encryption ------------------------------------------------------------------------------------------------------


def binding(header, certificate):
    fingerprint = sha256(certificate.public_bytes(serialization.Encoding.DER)).hex()
    party_u = f"{content(header, 'Author')}|{content(header, 'MessageID')}".encode()
    party_v = f"{content(header, 'Reader')}|{fingerprint}".encode()
    return party_u, party_v


def derive(secret, party_u, party_v, public=b""):
    info = KW_AES256.encode() + party_u + party_v + public
    return ConcatKDFHash(algorithm=hashes.SHA256(), length=32, otherinfo=info).derive(secret)


def oaep(party_u, party_v):
    label = sha256(party_u + b"\0" + party_v)
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=label)


def point_of(public):
    return public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def transcript(kem, encapsulation_key, originator, certificate):
    return sha256(kem + encapsulation_key + originator + point_of(certificate.public_key()))


def decrypt(text, certificate, key, decapsulation_key):
    header = element(text, "Header")
    party_u, party_v = binding(header, certificate)
    wrapped = base64.b64decode(content(element(text, "xenc:EncryptedKey"), "xenc:CipherValue"))
    if isinstance(key, rsa.RSAPrivateKey):
        content_key = key.decrypt(wrapped, oaep(party_u, party_v))
    else:
        point = base64.b64decode(content(text, "dsig11:PublicKey"))
        originator = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        secret, public = key.exchange(ec.ECDH(), originator), b""
        if decapsulation_key:
            kem = base64.b64decode(content(text, "KemCiphertext"))
            public = transcript(kem, decapsulation_key[1152:2336], point, certificate)
            secret = decapsulate(decapsulation_key, kem) + secret
        content_key = keywrap.aes_key_unwrap(derive(secret, party_u, party_v, public), wrapped)
    cipher = AESGCM(content_key)
    without_key = text.replace(element(text, "xenc:EncryptedKey"), "")
    for value in re.findall(r"<xenc:CipherValue>([^<]*)<", without_key):
        octets = base64.b64decode(value)
        yield cipher.decrypt(octets[:12], octets[12:], None)


def open_content(text, certificate, key, decapsulation_key):
    manifest, *padded = decrypt(text, certificate, key, decapsulation_key)
    if b64(sha256(manifest)) != content(text, "Commitment"):
        raise Refused("the manifest is not the one that the header commits to")
    entries = re.findall(r"<File [^>]*digest=\"([^\"]*)\"[^>]* length=\"(\d+)\"", manifest.decode())
    if len(entries) != len(padded):
        raise Refused("another number of files")
    for (digest, length), octets in zip(entries, padded):
        if b64(sha256(octets[: int(length)])) != digest:
            raise Refused("a file is not the one that the manifest names")
        print(sha256(octets[: int(length)]).hex())


def padme(length):
    """The length to which something is padded: at most 12 % more, and few lengths at all."""
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    keep = exponent.bit_length()
    step = 1 << max(exponent - keep, 0)
    return -(-length // step) * step


def manifest_of(header, payload):
    repeated = ["MessageID", "Kind", "Author", "Reader", "Environment", "ProcessRef", "InReplyTo"]
    out = '<Manifest xmlns="urn:viereck:envelope:1"><Salt>' + b64(os.urandom(32)) + "</Salt>"
    out += "".join(element(header, name) for name in repeated if f"<{name}>" in header)
    out += (
        f'<Files><File count="1" digest="{b64(sha256(payload))}" first="1" length="{len(payload)}" '
        'mediaType="application/xml" name="theirs.xml" role="payload"></File></Files><Padding>'
    )
    end = "</Padding></Manifest>"
    length = len((out + end).encode())
    return (out + " " * (padme(length) - length) + end).encode()


def encrypted_key(header, certificate, content_key, encapsulation_key):
    party_u, party_v = binding(header, certificate)
    key = certificate.public_key()
    digest = b64(sha256(certificate.public_bytes(serialization.Encoding.DER)))
    recipient = (
        '<ds:X509Data><dsig11:X509Digest xmlns:dsig11="http://www.w3.org/2009/xmldsig11#" '
        f'Algorithm="{SHA256}">{digest}</dsig11:X509Digest></ds:X509Data>'
    )
    if isinstance(key, rsa.RSAPublicKey):
        label = b64(sha256(party_u + b"\0" + party_v))
        how = (
            '<xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#rsa-oaep">'
            f"<xenc:OAEPparams>{label}</xenc:OAEPparams>"
            f'<ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod>'
            '<xenc11:MGF xmlns:xenc11="http://www.w3.org/2009/xmlenc11#" '
            'Algorithm="http://www.w3.org/2009/xmlenc11#mgf1sha256"></xenc11:MGF></xenc:EncryptionMethod>'
            f"<ds:KeyInfo>{recipient}</ds:KeyInfo>"
        )
        wrapped = key.encrypt(content_key, oaep(party_u, party_v))
    else:
        ephemeral = ec.generate_private_key(ec.SECP256R1())
        point = point_of(ephemeral.public_key())
        infos = {"AlgorithmID": KW_AES256.encode(), "PartyUInfo": party_u, "PartyVInfo": party_v}
        secret, agreement, ciphertext = ephemeral.exchange(ec.ECDH(), key), ECDH_ES, ""
        if encapsulation_key:
            first, kem = mlkem.MLKEM768PublicKey.from_public_bytes(encapsulation_key).encapsulate()
            infos["SuppPubInfo"] = transcript(kem, encapsulation_key, point, certificate)
            secret, agreement = first + secret, HYBRID
            ciphertext = f"<KemCiphertext>{b64(kem)}</KemCiphertext>"
        kek = derive(secret, party_u, party_v, infos.get("SuppPubInfo", b""))
        wrapped = keywrap.aes_key_wrap(kek, content_key)
        attributes = " ".join(f'{name}="00{info.hex().upper()}"' for name, info in infos.items())
        how = (
            f'<xenc:EncryptionMethod Algorithm="{KW_AES256}"></xenc:EncryptionMethod>'
            f'<ds:KeyInfo><xenc:AgreementMethod Algorithm="{agreement}">'
            '<xenc11:KeyDerivationMethod xmlns:xenc11="http://www.w3.org/2009/xmlenc11#" '
            'Algorithm="http://www.w3.org/2009/xmlenc11#ConcatKDF">'
            f'<xenc11:ConcatKDFParams {attributes}><ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod>'
            f"</xenc11:ConcatKDFParams></xenc11:KeyDerivationMethod>{ciphertext}<xenc:OriginatorKeyInfo><ds:KeyValue>"
            '<dsig11:ECKeyValue xmlns:dsig11="http://www.w3.org/2009/xmldsig11#" Id="originator">'
            '<dsig11:NamedCurve URI="urn:oid:1.2.840.10045.3.1.7"></dsig11:NamedCurve>'
            f"<dsig11:PublicKey>{b64(point)}</dsig11:PublicKey></dsig11:ECKeyValue></ds:KeyValue>"
            '<ds:RetrievalMethod Type="http://www.w3.org/2009/xmldsig11#ECKeyValue" URI="#originator">'
            "</ds:RetrievalMethod></xenc:OriginatorKeyInfo>"
            f"<xenc:RecipientKeyInfo>{recipient}</xenc:RecipientKeyInfo></xenc:AgreementMethod></ds:KeyInfo>"
        )
    return (
        f'<xenc:EncryptedKey Id="key" Recipient="{content(header, "Reader")}">{how}<xenc:CipherData>'
        f"<xenc:CipherValue>{b64(wrapped)}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>"
    )


def encrypted_data(cipher, plain, key_info):
    nonce = os.urandom(12)
    value = b64(nonce + cipher.encrypt(nonce, plain, None))
    return (
        '<xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#">'
        '<xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"></xenc:EncryptionMethod>'
        f'<ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">{key_info}</ds:KeyInfo>'
        f"<xenc:CipherData><xenc:CipherValue>{value}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>"
    )


def seal(text, certificate, payload, encapsulation_key):
    header = element(text, "Header")
    manifest = manifest_of(header, payload)
    sealed = header.replace(element(header, "Commitment"), f"<Commitment>{b64(sha256(manifest))}</Commitment>")
    content_key = os.urandom(32)
    cipher = AESGCM(content_key)
    retrieval = (
        '<ds:RetrievalMethod Type="http://www.w3.org/2001/04/xmlenc#EncryptedKey" URI="#key"></ds:RetrievalMethod>'
    )
    body = encrypted_data(cipher, manifest, encrypted_key(header, certificate, content_key, encapsulation_key))
    body += encrypted_data(cipher, payload + bytes(padme(len(payload)) - len(payload)), retrieval)
    own = f'<Content xmlns="urn:viereck:envelope:1" Id="content">{body}</Content>'
    sys.stdout.write(text.replace(header, sealed).replace(element(text, "Content"), own))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def raw(path, length):
    """The key at the end of a PEM file: what stands before it names its kind."""
    lines = read(path).decode().split("\n")
    return base64.b64decode("".join(line for line in lines if "-----" not in line))[-length:]


def main(verb, file, *others):
    text = read(file).decode()
    if verb == "verify":
        verify(text, x509.load_pem_x509_certificate(read(others[0])))
    elif verb == "sign":
        sign(text, serialization.load_pem_private_key(read(others[0]), None))
    elif verb == "open":
        key = serialization.load_pem_private_key(read(others[1]), None)
        ml_kem = raw(others[2], 2400) if len(others) > 2 else None
        open_content(text, x509.load_pem_x509_certificate(read(others[0])), key, ml_kem)
    elif verb == "seal":
        ml_kem = raw(others[2], 1184) if len(others) > 2 else None
        seal(text, x509.load_pem_x509_certificate(read(others[0])), read(others[1]), ml_kem)
    else:
        return 2
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except (Refused, InvalidTag, keywrap.InvalidUnwrap, ValueError) as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        sys.exit(1)
