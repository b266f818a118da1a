// The XML Signature of the JDK itself, in its secure mode.
//
//     java Jdk.java verify FILE CERTIFICATE.pem
//     java Jdk.java sign TEMPLATE KEY.pem                 prints the three digests and the signature value

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import javax.xml.crypto.MarshalException;
import javax.xml.crypto.dom.DOMStructure;
import javax.xml.crypto.dsig.CanonicalizationMethod;
import javax.xml.crypto.dsig.DigestMethod;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.XMLSignatureException;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMSignContext;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.crypto.dsig.spec.C14NMethodParameterSpec;
import javax.xml.crypto.dsig.spec.TransformParameterSpec;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;

public class Jdk {
    static final String DS = "http://www.w3.org/2000/09/xmldsig#";
    static final XMLSignatureFactory FACTORY = XMLSignatureFactory.getInstance("DOM");

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 3) {
            System.exit(2);
        }
        Document document = parse(Path.of(arguments[1]));
        String pem = Files.readString(Path.of(arguments[2]));
        try {
            switch (arguments[0]) {
                case "verify" -> verify(document, pem);
                case "sign" -> sign(document, pem);
                default -> System.exit(2);
            }
        } catch (MarshalException | XMLSignatureException refusal) {
            refuse(refusal.getMessage());
        }
    }

    static void refuse(String why) {
        System.err.println("refused: " + why);
        System.exit(1);
    }

    static Document parse(Path file) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        factory.setFeature(javax.xml.XMLConstants.FEATURE_SECURE_PROCESSING, true);
        Document document;
        try {
            document = factory.newDocumentBuilder().parse(file.toFile());
        } catch (org.xml.sax.SAXException refusal) {
            refuse(refusal.getMessage());
            throw refusal;
        }
        mark(document.getDocumentElement());
        return document;
    }

    // Without a DTD a library has to be told which attributes are identifiers.
    static void mark(Element element) {
        if (element.hasAttribute("Id")) {
            element.setIdAttribute("Id", true);
        }
        for (Node child = element.getFirstChild(); child != null; child = child.getNextSibling()) {
            if (child instanceof Element inner) {
                mark(inner);
            }
        }
    }

    static Element signature(Document document) {
        List<Element> found = new ArrayList<>();
        for (Node child = document.getDocumentElement().getFirstChild(); child != null; child = child.getNextSibling()) {
            if (child instanceof Element element && DS.equals(element.getNamespaceURI())) {
                found.add(element);
            }
        }
        if (found.size() != 1) {
            refuse(found.size() + " signatures");
        }
        return found.get(0);
    }

    static byte[] der(String pem) {
        return Base64.getMimeDecoder().decode(pem.replaceAll("-----[^-]*-----", ""));
    }

    static void verify(Document document, String pem) throws Exception {
        var certificate = CertificateFactory.getInstance("X.509").generateCertificate(
                new ByteArrayInputStream(pem.getBytes(StandardCharsets.US_ASCII)));
        var context = new DOMValidateContext(certificate.getPublicKey(), signature(document));
        context.setProperty("org.jcp.xml.dsig.secureValidation", true);
        var read = FACTORY.unmarshalXMLSignature(context);
        if (read.getSignedInfo().getReferences().size() != 3 || !read.validate(context)) {
            refuse("the signature does not verify");
        }
    }

    static PrivateKey key(String pem) throws Exception {
        var spec = new PKCS8EncodedKeySpec(der(pem));
        try {
            return KeyFactory.getInstance("EC").generatePrivate(spec);
        } catch (InvalidKeySpecException other) {
            return KeyFactory.getInstance("RSA").generatePrivate(spec);
        }
    }

    // Signs by its own means over the references, the algorithms and the signed properties that the template names.
    static void sign(Document document, String pem) throws Exception {
        Element template = signature(document);
        Element object = (Element) template.getElementsByTagNameNS(DS, "Object").item(0);
        String method = ((Element) template.getElementsByTagNameNS(DS, "SignatureMethod").item(0)).getAttribute("Algorithm");
        List<Reference> references = new ArrayList<>();
        NodeList named = template.getElementsByTagNameNS(DS, "Reference");
        for (int at = 0; at < named.getLength(); at++) {
            Element reference = (Element) named.item(at);
            var transform = FACTORY.newTransform(CanonicalizationMethod.EXCLUSIVE, (TransformParameterSpec) null);
            references.add(FACTORY.newReference(
                    reference.getAttribute("URI"),
                    FACTORY.newDigestMethod(DigestMethod.SHA256, null),
                    List.of(transform),
                    reference.hasAttribute("Type") ? reference.getAttribute("Type") : null,
                    reference.hasAttribute("Id") ? reference.getAttribute("Id") : null));
        }
        var signedInfo = FACTORY.newSignedInfo(
                FACTORY.newCanonicalizationMethod(CanonicalizationMethod.EXCLUSIVE, (C14NMethodParameterSpec) null),
                FACTORY.newSignatureMethod(method, null),
                references);
        var properties = FACTORY.newXMLObject(
                List.of(new DOMStructure(object.getFirstChild())), null, null, null);
        var signature = FACTORY.newXMLSignature(signedInfo, null, List.of(properties), "signature", null);
        Element root = document.getDocumentElement();
        root.removeChild(template);
        var context = new DOMSignContext(key(pem), root);
        context.setDefaultNamespacePrefix("ds");
        for (String id : List.of("header", "content")) {
            NodeList all = root.getElementsByTagNameNS("*", "*");
            for (int at = 0; at < all.getLength(); at++) {
                if (id.equals(((Element) all.item(at)).getAttribute("Id"))) {
                    context.setIdAttributeNS((Element) all.item(at), null, "Id");
                }
            }
        }
        Element signedProperties = (Element) object.getFirstChild().getFirstChild();
        context.setIdAttributeNS(signedProperties, null, "Id");
        signature.sign(context);
        for (Object reference : signature.getSignedInfo().getReferences()) {
            System.out.println(Base64.getEncoder().encodeToString(((Reference) reference).getDigestValue()));
        }
        System.out.println(Base64.getEncoder().encodeToString(signature.getSignatureValue().getValue()));
    }
}
