// npm's xml-crypto: its canonicalization, its references and its signature check.
//
//     node xml_crypto.js verify FILE CERTIFICATE.pem
//     node xml_crypto.js sign TEMPLATE KEY.pem            prints the three digests and the signature value
//
// It has no ECDSA and no RSA-PSS with SHA-512 of its own, and is made to be given more algorithms: those of Node.js.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const modules = require("node:module").createRequire(process.env.VIERECK_NODE_MODULES || `${process.cwd()}/`);
const { DOMParser } = modules("@xmldom/xmldom");
const { ExclusiveCanonicalization, SignedXml } = modules("xml-crypto");

const DS = "http://www.w3.org/2000/09/xmldsig#";

function algorithm(identifier, hash, options) {
  return class {
    getAlgorithmName() {
      return identifier;
    }
    getSignature(octets, key) {
      return crypto.sign(hash, Buffer.from(octets), { key, ...options }).toString("base64");
    }
    verifySignature(octets, key, value) {
      return crypto.verify(hash, Buffer.from(octets), { key, ...options }, Buffer.from(value, "base64"));
    }
  };
}

const PSS = { padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST };
const ALGORITHMS = Object.fromEntries(
  [
    ["http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", "sha256", { dsaEncoding: "ieee-p1363" }],
    ["http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1", "sha256", PSS],
    ["http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1", "sha512", PSS],
  ].map(([identifier, hash, options]) => [identifier, algorithm(identifier, hash, options)]),
);

function refuse(why) {
  process.stderr.write(`refused: ${why}\n`);
  process.exit(1);
}

function signatureOf(document) {
  const children = Array.from(document.documentElement.childNodes);
  const signatures = children.filter((node) => node.localName === "Signature" && node.namespaceURI === DS);
  if (signatures.length !== 1) refuse(`${signatures.length} signatures`);
  return signatures[0];
}

function verify(text, certificate) {
  const document = new DOMParser().parseFromString(text, "text/xml");
  const signed = new SignedXml({ publicCert: certificate });
  Object.assign(signed.SignatureAlgorithms, ALGORITHMS);
  signed.loadSignature(signatureOf(document));
  let good;
  try {
    good = signed.checkSignature(text);
  } catch (error) {
    refuse(error.message);
  }
  if (!good || signed.getSignedReferences().length !== 3) refuse("the signature does not verify");
}

function canonical(node) {
  return new ExclusiveCanonicalization().process(node, {}).toString();
}

function byId(node, id) {
  if (node.nodeType !== 1) return undefined;
  if (node.getAttribute("Id") === id) return node;
  return Array.from(node.childNodes).reduce((found, child) => found || byId(child, id), undefined);
}

function sign(text, key) {
  const document = new DOMParser().parseFromString(text, "text/xml");
  const signedInfo = Array.from(signatureOf(document).childNodes).find((node) => node.localName === "SignedInfo");
  const digests = [];
  for (const reference of Array.from(signedInfo.getElementsByTagNameNS(DS, "Reference"))) {
    const part = byId(document.documentElement, reference.getAttribute("URI").slice(1));
    const digest = crypto.createHash("sha256").update(canonical(part)).digest("base64");
    reference.getElementsByTagNameNS(DS, "DigestValue")[0].textContent = digest;
    digests.push(digest);
  }
  const method = signedInfo.getElementsByTagNameNS(DS, "SignatureMethod")[0].getAttribute("Algorithm");
  const value = new ALGORITHMS[method]().getSignature(canonical(signedInfo), key);
  process.stdout.write(`${[...digests, value].join("\n")}\n`);
}

const [verb, file, other] = process.argv.slice(2);
const text = fs.readFileSync(file, "utf8");
const pem = fs.readFileSync(other, "utf8");
if (verb === "verify") verify(text, pem);
else if (verb === "sign") sign(text, pem);
else process.exit(2);
