//! The catalogue of findings: for each its stable code, its severity, its sentence and its hint, in German and English.
//!
//! Codes never change their meaning. `{0}`, `{1}` stand for what the finding is about. Texts stand here and nowhere
//! else; `FINDINGS.md` beside this crate is generated from them and compared by a test.

use crate::finding::{Lang, Severity};

macro_rules! catalogue {
    ($($severity:ident $variant:ident $code:literal {
        de: $german:literal, $german_hint:literal;
        en: $english:literal, $english_hint:literal;
    })+) => {
        /// What kind of finding it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Code { $($variant),+ }

        impl Code {
            /// Every code, in the order of the catalogue.
            #[cfg(test)]
            pub(crate) const ALL: &[Code] = &[$(Code::$variant),+];

            /// The stable code.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code),+ }
            }

            /// Whether a folder with this finding is loaded.
            pub(crate) fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity),+ }
            }

            /// What is the matter, with places for arguments.
            pub(crate) fn sentence(self, lang: Lang) -> &'static str {
                match (self, lang) {
                    $((Code::$variant, Lang::De) => $german, (Code::$variant, Lang::En) => $english),+
                }
            }

            /// What to do, with places for arguments.
            pub(crate) fn hint(self, lang: Lang) -> &'static str {
                match (self, lang) {
                    $((Code::$variant, Lang::De) => $german_hint, (Code::$variant, Lang::En) => $english_hint),+
                }
            }
        }
    };
}

catalogue! {
    // The folder and its files.
    Error FolderUnreadable "folder-unreadable" {
        de: "Der Ordner lässt sich nicht lesen: {0}.", "Pfad und Rechte prüfen.";
        en: "The folder cannot be read: {0}.", "Check the path and the permissions.";
    }
    Error FileUnreadable "file-unreadable" {
        de: "Die Datei lässt sich nicht lesen: {0}.", "Pfad und Rechte prüfen.";
        en: "The file cannot be read: {0}.", "Check the path and the permissions.";
    }
    Error FileTooLarge "file-too-large" {
        de: "Die Datei ist größer als {0} Oktette.", "Die Datei aufteilen.";
        en: "The file is larger than {0} octets.", "Split the file.";
    }
    Error FolderTooLarge "folder-too-large" {
        de: "Der Ordner hat mehr als {0} Dateien oder mehr als {1} Oktette.", "Nur die Leitwegtabellen im Ordner lassen.";
        en: "The folder has more than {0} files or more than {1} octets.", "Leave nothing but the routing tables in the folder.";
    }
    Error LinkLeavesFolder "link-leaves-folder" {
        de: "Der Verweis führt aus dem Ordner hinaus oder ins Leere.", "Die Datei selbst in den Ordner legen.";
        en: "The symbolic link leads out of the folder or nowhere.", "Put the file itself into the folder.";
    }
    Error NameNotAllowed "name-not-allowed" {
        de: "Der Name ist kein UTF-8 oder enthält Steuerzeichen.", "Die Datei umbenennen.";
        en: "The name is not UTF-8 or contains control characters.", "Rename the file.";
    }
    Warning FileUnexpected "file-unexpected" {
        de: "Diese Datei gehört nicht zum Format und wird nicht gelesen.", "Löschen oder dorthin legen, wo das Format sie erwartet.";
        en: "This file is not part of the format and is not read.", "Delete it or put it where the format expects it.";
    }
    Error FileMissing "file-missing" {
        de: "Die Datei fehlt.", "Die Datei anlegen; das Format steht in routing-tables/README.md.";
        en: "The file is missing.", "Create it; routing-tables/README.md describes the format.";
    }
    Error NotUtf8 "not-utf8" {
        de: "Die Datei ist kein UTF-8.", "In UTF-8 speichern.";
        en: "The file is not UTF-8.", "Save it as UTF-8.";
    }
    Error LandFolder "land-folder" {
        de: "Der Ordner eines Landes heißt Schlüssel-name mit einem Schlüssel von 01 bis 16, z. B. 01-schleswig-holstein.", "Den Ordner umbenennen.";
        en: "A Land's folder is named key-name with a key from 01 to 16, e.g. 01-schleswig-holstein.", "Rename the folder.";
    }
    Error LandTwice "land-twice" {
        de: "Das Land {0} hat schon den Ordner {1}.", "Beide Ordner zusammenlegen.";
        en: "The Land {0} has the folder {1} already.", "Merge the two folders.";
    }

    // The text of a file.
    Error Syntax "syntax" {
        de: "Der Text ist kein gültiges TOML: {0}.", "Die Stelle berichtigen.";
        en: "The text is not valid TOML: {0}.", "Correct this place.";
    }
    Error KeyUnknown "key-unknown" {
        de: "Den Schlüssel `{0}` gibt es hier nicht.", "Hier sind möglich: {1}.";
        en: "There is no key `{0}` here.", "Possible are: {1}.";
    }
    Error KeyMissing "key-missing" {
        de: "Der Schlüssel `{0}` fehlt.", "Den Schlüssel ergänzen.";
        en: "The key `{0}` is missing.", "Add the key.";
    }
    Error TypeWrong "type-wrong" {
        de: "`{0}` hat die falsche Art von Wert.", "Erwartet wird etwas wie {1}.";
        en: "`{0}` has the wrong kind of value.", "Something like {1} is expected.";
    }
    Error NumberOutOfRange "number-out-of-range" {
        de: "`{0}` muss zwischen {1} und {2} liegen.", "Einen Wert aus diesem Bereich eintragen.";
        en: "`{0}` must lie between {1} and {2}.", "Enter a value of this range.";
    }
    Error WordUnknown "word-unknown" {
        de: "`{0}` ist hier kein bekanntes Wort.", "Möglich sind: {1}.";
        en: "`{0}` is no known word here.", "Possible are: {1}.";
    }
    Error TextNotPlain "text-not-plain" {
        de: "`{0}` ist leer, länger als {1} Zeichen oder enthält Steuerzeichen.", "Einen kurzen einzeiligen Text eintragen.";
        en: "`{0}` is empty, longer than {1} characters, or contains control characters.", "Enter a short text of one line.";
    }
    Error BehoerdeMalformed "behoerde-malformed" {
        de: "`{0}` ist kein Behördenschlüssel.", "Zwei bis sechs Buchstaben, Doppelpunkt, 8 oder 12 Ziffern, z. B. wgb:010540880000.";
        en: "`{0}` is no Behörde identifier.", "Two to six letters, a colon, 8 or 12 digits, e.g. wgb:010540880000.";
    }
    Error LeistungMalformed "leistung-malformed" {
        de: "`{0}` ist kein LeiKa-Schlüssel.", "14 Ziffern in Anführungszeichen, beginnend mit 99.";
        en: "`{0}` is no LeiKa key.", "14 digits in quotes, beginning with 99.";
    }
    Error NameMalformed "name-malformed" {
        de: "`{0}` ist kein Name eines Gateways, Brokers oder Clients.", "2 bis 40 Zeichen aus a-z, 0-9 und -, am Anfang ein Buchstabe.";
        en: "`{0}` is no name of a gateway, broker or client.", "2 to 40 of a-z, 0-9 and -, beginning with a letter.";
    }
    Error DigestMalformed "digest-malformed" {
        de: "`{0}` ist kein SHA-256.", "64 hexadezimale Ziffern in Kleinschreibung.";
        en: "`{0}` is no SHA-256.", "64 hexadecimal digits in lower case.";
    }
    Error DateMalformed "date-malformed" {
        de: "`{0}` ist kein Tag.", "Ohne Anführungszeichen als Jahr-Monat-Tag schreiben, z. B. 2027-01-01.";
        en: "`{0}` is no day.", "Write it without quotes as year-month-day, e.g. 2027-01-01.";
    }
    Error WindowBackwards "window-backwards" {
        de: "`from` ({0}) liegt nach `until` ({1}).", "Die beiden Tage tauschen oder einen streichen.";
        en: "`from` ({0}) is later than `until` ({1}).", "Swap the two days or remove one.";
    }
    Error CsvMalformed "csv-malformed" {
        de: "Diese Zeile ist nicht lesbar.", "Erwartet werden die Spalten {0}, UTF-8, mit Kopfzeile.";
        en: "This row cannot be read.", "The columns {0} are expected, UTF-8, with a header row.";
    }
    Error PlaceTwice "place-twice" {
        de: "ARS {0} oder AGS {1} steht schon in einer früheren Zeile.", "Eine der Zeilen streichen.";
        en: "ARS {0} or AGS {1} stands in an earlier row already.", "Remove one of the rows.";
    }

    // The head of the table.
    Error FormatUnknown "format-unknown" {
        de: "Das Format {0} kennt dieses Programm nicht.", "Format 1 verwenden oder ein neueres Programm.";
        en: "This program does not know format {0}.", "Use format 1 or a newer program.";
    }
    Error EnvironmentMismatch "environment-mismatch" {
        de: "Hier steht die Umgebung {0}, in table.toml aber {1}.", "Test und Produktion nie in einem Ordner mischen.";
        en: "The environment here is {0}, but {1} in table.toml.", "Never mix test and production in one folder.";
    }
    Error OwnerFolderUnknown "owner-folder-unknown" {
        de: "Den Ordner `{0}` gibt es nicht.", "`bund` oder einen Ordner unter laender/ nennen.";
        en: "There is no folder `{0}`.", "Name `bund` or a folder below laender/.";
    }
    Error BrokerMissing "broker-missing" {
        de: "Kein Broker ist eingetragen.", "Einen Abschnitt [[broker]] mit id, operator und contact ergänzen.";
        en: "No broker is entered.", "Add a section [[broker]] with id, operator and contact.";
    }
    Error CustodianTwice "custodian-twice" {
        de: "Den Namen {0} trägt schon {1}.", "Gateways und Broker brauchen verschiedene Namen.";
        en: "The name {0} is taken by {1}.", "Gateways and brokers need different names.";
    }
    Error ClientTwice "client-twice" {
        de: "Der Client {0} steht schon in {1}.", "Einen der Einträge streichen.";
        en: "The client {0} stands in {1} already.", "Remove one of the entries.";
    }

    // Competences.
    Error RegionNotQuoted "region-not-quoted" {
        de: "Ein Regionalschlüssel ist Text, keine Zahl.", "In Anführungszeichen setzen, z. B. region = \"01054\".";
        en: "A regional key is text, not a number.", "Put it in quotes, e.g. region = \"01054\".";
    }
    Error RegionMalformed "region-malformed" {
        de: "`{0}` ist kein Anfang eines Regionalschlüssels.", "2, 3, 5, 9 oder 12 Ziffern, im Ordner bund auch 00.";
        en: "`{0}` is no prefix of a regional key.", "2, 3, 5, 9 or 12 digits, in the folder bund also 00.";
    }
    Error RegionForeign "region-foreign" {
        de: "Die Region {0} liegt nicht im Land {1}.", "In den Ordner ihres Landes eintragen; 00 nur im Ordner bund.";
        en: "The region {0} does not lie in the Land {1}.", "Enter it in the folder of its Land; 00 only in the folder bund.";
    }
    Error RegionUnknown "region-unknown" {
        de: "In der Region {0} liegt keine Gemeinde des Gebietsstands {1}.", "Den Schlüssel mit gemeinden.csv vergleichen; vielleicht wurde die Gemeinde aufgelöst.";
        en: "No municipality of the Gebietsstand {1} lies in the region {0}.", "Compare the key with gemeinden.csv; the municipality may have been dissolved.";
    }
    Error RegionTwice "region-twice" {
        de: "Für die Region {0} gilt am selben Tag schon der Eintrag in {1}.", "Einen streichen, die Zeiträume trennen oder beide als choices anbieten.";
        en: "The entry at {1} holds for the region {0} on the same day.", "Remove one, separate their days, or offer both as choices.";
    }
    Error TargetAmbiguous "target-ambiguous" {
        de: "Der Eintrag nennt {0} von behoerde, refused und choices.", "Genau eines davon eintragen.";
        en: "The entry has {0} of behoerde, refused and choices.", "Enter exactly one of them.";
    }
    Error ChoicesTooFew "choices-too-few" {
        de: "Eine Auswahl braucht mindestens zwei verschiedene Behörden mit verschiedenen Namen.", "Bei nur einer Behörde behoerde = \"…\" schreiben.";
        en: "A choice needs at least two different authorities with different labels.", "With one authority only, write behoerde = \"…\".";
    }
    Error ReasonMalformed "reason-malformed" {
        de: "`{0}` ist kein Wort für einen Grund.", "Kleinbuchstaben und Bindestriche, z. B. not-connected.";
        en: "`{0}` is no word for a reason.", "Lower-case letters and hyphens, e.g. not-connected.";
    }
    Error LeistungTwice "leistung-twice" {
        de: "Die Leistung {0} steht schon in {1}.", "Einen der Abschnitte streichen.";
        en: "The Leistung {0} stands at {1} already.", "Remove one of the sections.";
    }
    Error SchemaTwice "schema-twice" {
        de: "Das Schema {0} ist zweimal eingetragen.", "Einen der Einträge streichen.";
        en: "The schema {0} is entered twice.", "Remove one of the entries.";
    }
    Error UrnMalformed "urn-malformed" {
        de: "`{0}` ist kein Name eines Schemas.", "Eine URN oder URL aus höchstens 200 ASCII-Zeichen, z. B. urn:viereck:example:wohngeld:1.";
        en: "`{0}` is no name of a schema.", "A URN or URL of at most 200 ASCII characters, e.g. urn:viereck:example:wohngeld:1.";
    }
    Error ListUnknown "list-unknown" {
        de: "Die Liste {0} gibt es in diesem Ordner nicht.", "zustaendigkeiten/{0}.toml anlegen oder eine vorhandene nennen.";
        en: "There is no list {0} in this folder.", "Create zustaendigkeiten/{0}.toml or name an existing one.";
    }
    Warning ListUnused "list-unused" {
        de: "Keine Leistung verwendet diese Liste.", "In leistungen.toml mit uses nennen oder die Datei löschen.";
        en: "No Leistung uses this list.", "Name it with uses in leistungen.toml or delete the file.";
    }
    Warning MunicipalitiesUncovered "municipalities-uncovered" {
        de: "Für {0} hat heute keine Antwort: {1} Gemeinden, zuerst {2}.", "Einträge ergänzen; wo es mit Absicht niemanden gibt, einen Eintrag mit refused.";
        en: "{0} has no answer today for {1} municipalities, the first is {2}.", "Add entries; where deliberately nobody is competent, an entry with refused.";
    }
    Warning EntryExpired "entry-expired" {
        de: "Der Eintrag ist seit dem {0} abgelaufen.", "Streichen, wenn ihn niemand mehr zum Nachsehen braucht.";
        en: "The entry ended on {0}.", "Remove it when nobody needs it for reference.";
    }
    Warning EntryRedundant "entry-redundant" {
        de: "Der Eintrag sagt dasselbe wie der für {0} in {1}.", "Den Eintrag streichen.";
        en: "The entry says the same as the one for {0} at {1}.", "Remove the entry.";
    }

    // Participants, gateways, clients.
    Error BehoerdeUnknown "behoerde-unknown" {
        de: "Die Behörde {0} ist nirgends eingetragen.", "In behoerden/ oder participants.toml eintragen oder den Schlüssel berichtigen.";
        en: "The authority {0} is entered nowhere.", "Enter it in behoerden/ or participants.toml, or correct the identifier.";
    }
    Error NotAnAuthority "not-an-authority" {
        de: "{0} ist keine Behörde, sondern ein Portal oder Register.", "Eine Behörde aus behoerden/ nennen.";
        en: "{0} is no authority but a portal or a register.", "Name an authority of behoerden/.";
    }
    Error NotAPortal "not-a-portal" {
        de: "{0} ist kein Portal.", "Ein Portal aus participants.toml nennen.";
        en: "{0} is no portal.", "Name a portal of participants.toml.";
    }
    Error ParticipantTwice "participant-twice" {
        de: "{0} steht schon in {1}.", "Einen der Einträge streichen.";
        en: "{0} stands at {1} already.", "Remove one of the entries.";
    }
    Error KindNotAllowed "kind-not-allowed" {
        de: "Nachrichten der Art {0} darf {1} nicht schreiben.", "Portale stellen Anträge, Behörden antworten; query und answer sind jedem erlaubt, der sie einträgt.";
        en: "{1} may not write messages of the kind {0}.", "Portals apply, authorities answer; query and answer are open to everyone who enters them.";
    }
    Error GatewayUnknown "gateway-unknown" {
        de: "Das Gateway {0} ist nirgends eingetragen.", "In einer gateways.toml eintragen oder den Namen berichtigen.";
        en: "The gateway {0} is entered nowhere.", "Enter it in a gateways.toml or correct the name.";
    }
    Error GatewayDoesNotServe "gateway-does-not-serve" {
        de: "Das Gateway {0} bedient {1} laut seinem Eintrag nicht.", "Im Eintrag des Gateways unter serves ergänzen oder einen anderen Zustellweg nennen.";
        en: "By its entry the gateway {0} does not serve {1}.", "Add it to serves in the gateway's entry or name another delivery.";
    }
    Error GatewayDoesNotSpeakFor "gateway-does-not-speak-for" {
        de: "Das Gateway {0} darf nicht für {1} sprechen.", "Im Eintrag des Gateways unter speaks_for ergänzen oder den Autor streichen.";
        en: "The gateway {0} may not speak for {1}.", "Add it to speaks_for in the gateway's entry or remove the author.";
    }
    Error LeistungUnknown "leistung-unknown" {
        de: "Die Leistung {0} steht in keiner leistungen.toml.", "Die Leistung eintragen oder den Schlüssel berichtigen.";
        en: "The Leistung {0} stands in no leistungen.toml.", "Enter the Leistung or correct the key.";
    }
    Error OauthClientTwice "oauth-client-twice" {
        de: "Den Namen `{0}` trägt schon der Client in {1}.", "Jedem Client den Namen geben, den der Autorisierungsserver für ihn allein verwendet.";
        en: "The client at {1} has the name `{0}` already.", "Give each client the name that the authorisation server uses for it alone.";
    }
    Error ClientUnknown "client-unknown" {
        de: "Den Client {0} gibt es nicht.", "In einer clients.toml eintragen oder den Namen berichtigen.";
        en: "There is no client {0}.", "Enter it in a clients.toml or correct the name.";
    }
    Error ClientWithoutAuthor "client-without-author" {
        de: "Keiner der Autoren dieses Clients schreibt Anträge für {0}.", "Ein Portal ergänzen, das diese Leistung führt, oder die Leistung streichen.";
        en: "None of this client's authors writes applications for {0}.", "Add a portal that has this Leistung or remove the Leistung.";
    }
    Error LandUnknown "land-unknown" {
        de: "`{0}` ist kein Schlüssel eines Landes.", "01 bis 16, oder 00 für den Bund, in Anführungszeichen.";
        en: "`{0}` is no key of a Land.", "01 to 16, or 00 for the Bund, in quotes.";
    }
    Error DeliveryMissing "delivery-missing" {
        de: "Für {0} ist {1} zuständig, hat dafür aber keinen Zustellweg.", "Bei der Behörde einen Abschnitt delivery ergänzen.";
        en: "{1} is competent for {0} but has no delivery for it.", "Add a section delivery to the authority.";
    }
    Error DeliveryTwice "delivery-twice" {
        de: "Am selben Tag gilt für dieselbe Leistung schon der Zustellweg in {0}.", "Einen streichen oder die Zeiträume trennen.";
        en: "The delivery at {0} holds for the same Leistung on the same day.", "Remove one or separate their days.";
    }
    Error SchemaNotAccepted "schema-not-accepted" {
        de: "{0} nimmt kein Schema an, das die Leistung {1} kennt.", "Unter accepts ein Schema der Leistung nennen.";
        en: "{0} accepts no schema that the Leistung {1} has.", "Name a schema of the Leistung in accepts.";
    }
    Error DeputyLoop "deputy-loop" {
        de: "Die Vertretung durch {0} führt im Kreis.", "Den Kreis auflösen.";
        en: "The deputy {0} leads round in a circle.", "Break the circle.";
    }
    Error DeputyChain "deputy-chain" {
        de: "{0} wird in dieser Zeit selbst vertreten.", "Die Behörde nennen, die wirklich annimmt.";
        en: "{0} has a deputy of its own at that time.", "Name the authority that really takes the messages in.";
    }
    Error DeputyTwice "deputy-twice" {
        de: "Am selben Tag gilt für dieselbe Leistung schon die Vertretung in {0}.", "Eine streichen oder die Zeiträume trennen.";
        en: "The deputy at {0} stands in for the same Leistung on the same day.", "Remove one or separate their days.";
    }
    Warning PrefixUnknown "prefix-unknown" {
        de: "Das Präfix {0} steht nicht in der Präfixliste des DVDV.", "Mit der aktuellen Liste vergleichen; dvdv-praefixe.csv gegebenenfalls erneuern.";
        en: "The prefix {0} is not in the DVDV's list of prefixes.", "Compare with the current list; renew dvdv-praefixe.csv if need be.";
    }

    // Certificates and tokens.
    Warning CertificatesAbsent "certificates-absent" {
        de: "Der Ordner enthält keine Zertifikate: Er lässt sich prüfen und befragen, aber nicht betreiben.", "`viereck keys new --table DIR` erzeugt sie für eine Testumgebung.";
        en: "The folder has no certificates: it can be checked and asked, but not run.", "`viereck keys new --table DIR` makes them for a test environment.";
    }
    Error CertificateMissing "certificate-missing" {
        de: "Für {0} ist kein Zertifikat zum Zweck {1} eingetragen.", "In certificates/certificates.toml eintragen.";
        en: "No certificate is entered for {0} and the purpose {1}.", "Enter it in certificates/certificates.toml.";
    }
    Error CertificateNoneValid "certificate-none-valid" {
        de: "Kein Zertifikat von {0} zum Zweck {1} gilt am {2}.", "Ein gültiges Zertifikat eintragen.";
        en: "No certificate of {0} for the purpose {1} is valid on {2}.", "Enter a valid certificate.";
    }
    Error CertificateFileMissing "certificate-file-missing" {
        de: "Die Datei {0} fehlt im Ordner certificates.", "Die Datei ergänzen oder den Eintrag streichen.";
        en: "The file {0} is missing in the folder certificates.", "Add the file or remove the entry.";
    }
    Error CertificateWrong "certificate-wrong" {
        de: "Das Zertifikat passt nicht zum Eintrag: {0}.", "Datei und Eintrag vergleichen; der Fingerabdruck gilt dem DER-Inhalt.";
        en: "The certificate does not fit its entry: {0}.", "Compare the file and the entry; the fingerprint is that of the DER.";
    }
    Error CertificateTooWeak "certificate-too-weak" {
        de: "Der Schlüssel des Zertifikats ist nicht zugelassen.", "Zugelassen sind ECDSA mit P-256 und RSA ab 3072 Bit mit dem Exponenten 65537.";
        en: "The key of the certificate is not allowed.", "ECDSA with P-256 and RSA of at least 3072 bits with the exponent 65537 are allowed.";
    }
    Error MlKemWrong "ml-kem-wrong" {
        de: "Der ML-KEM-Schlüssel passt nicht zum Eintrag: {0}.", "Erwartet wird PEM `PUBLIC KEY` mit ML-KEM-768; der Fingerabdruck gilt dem DER-Inhalt.";
        en: "The ML-KEM key does not fit its entry: {0}.", "Expected is PEM `PUBLIC KEY` with ML-KEM-768; the fingerprint is that of the DER.";
    }
    Error MlKemWithoutPair "ml-kem-without-pair" {
        de: "Ein ML-KEM-Schlüssel steht nur neben einem Zertifikat zum Zweck encryption, dessen Schlüssel auf P-256 liegt.", "ml_kem streichen oder ein solches Zertifikat eintragen.";
        en: "An ML-KEM key stands only beside a certificate for encryption whose key is on P-256.", "Remove ml_kem or enter such a certificate.";
    }
    Error MlKemMissing "ml-kem-missing" {
        de: "{0} nimmt nur noch Profil 2, aber zum heute gültigen Zertifikat von {1} fehlt der ML-KEM-Schlüssel.", "ml_kem beim Zertifikat eintragen oder lowest_profile_from auf einen späteren Tag setzen.";
        en: "{0} takes profile 2 only, but the certificate of {1} that is valid today has no ML-KEM key.", "Enter ml_kem with the certificate or set lowest_profile_from to a later day.";
    }
    Warning MlKemMissingSoon "ml-kem-missing-soon" {
        de: "{0} nimmt ab {2} nur noch Profil 2, aber zum heute gültigen Zertifikat von {1} fehlt der ML-KEM-Schlüssel.", "ml_kem vor diesem Tag beim Zertifikat eintragen.";
        en: "{0} takes profile 2 only from {2} on, but the certificate of {1} that is valid today has no ML-KEM key.", "Enter ml_kem with the certificate before that day.";
    }
    Error LowestProfileFromAlone "lowest-profile-from-alone" {
        de: "lowest_profile_from sagt ohne lowest_profile nichts.", "lowest_profile = 2 eintragen oder die Zeile streichen.";
        en: "lowest_profile_from says nothing without lowest_profile.", "Enter lowest_profile = 2 or remove the line.";
    }
    Error CertificateSubjectDiffers "certificate-subject-differs" {
        de: "Der Name im Zertifikat, {0}, ist nicht {1}.", "Ein Zertifikat verwenden, dessen einziger Common Name die Kennung ist, oder den Namen mit subject = \"…\" im Eintrag festhalten.";
        en: "The name in the certificate, {0}, is not {1}.", "Use a certificate whose only common name is the identifier, or commit the name with subject = \"…\" in the entry.";
    }
    Error CertificateKeyUsage "certificate-key-usage" {
        de: "Die Schlüsselverwendung des Zertifikats passt nicht zum Zweck {0}.", "signing braucht digitalSignature, encryption braucht keyAgreement (EC) oder keyEncipherment (RSA).";
        en: "The key usage of the certificate does not fit the purpose {0}.", "signing needs digitalSignature, encryption needs keyAgreement (EC) or keyEncipherment (RSA).";
    }
    Error CertificateNotTrusted "certificate-not-trusted" {
        de: "Das Zertifikat führt zu keinem Vertrauensanker: {0}.", "Die Zertifikate dazwischen unter issuers in [trust] eintragen; der Aussteller muss unter anchors stehen.";
        en: "The certificate leads to no trust anchor: {0}.", "Enter the certificates between under issuers in [trust]; the authority has to stand under anchors.";
    }
    Warning CertificateRevoked "certificate-revoked" {
        de: "Das Zertifikat ist gesperrt und zählt nicht mehr.", "Einen Nachfolger eintragen; den Eintrag stehen lassen, solange Nachrichten damit zu öffnen sind.";
        en: "The certificate was revoked and does not count any more.", "Enter a successor; leave the entry while there are messages to open with it.";
    }
    Error AuthorityWrong "authority-wrong" {
        de: "Die Datei enthält nicht genau ein Zertifikat einer Zertifizierungsstelle im Format PEM.", "Für jede Stelle eine Datei mit ihrem Zertifikat ablegen.";
        en: "The file does not hold exactly one certificate of a certification authority as PEM.", "Put the certificate of each authority into a file of its own.";
    }
    Error RevocationSourceAmbiguous "revocation-source-ambiguous" {
        de: "Eine Sperrliste hat entweder url oder file.", "Eines von beiden eintragen.";
        en: "A revocation list has either url or file.", "Enter one of the two.";
    }
    Error RevocationUrlMalformed "revocation-url-malformed" {
        de: "`{0}` ist keine Adresse einer Sperrliste.", "Mit http:// oder https:// beginnen; die Liste selbst ist signiert.";
        en: "`{0}` is no address of a revocation list.", "Begin with http:// or https://; the list itself is signed.";
    }
    Error RevocationListWrong "revocation-list-wrong" {
        de: "Die Sperrliste zählt nicht: {0}.", "Die Liste des Ausstellers unverändert ablegen.";
        en: "The revocation list does not count: {0}.", "Put the issuer's list there unchanged.";
    }
    Error RevocationIssuerUnknown "revocation-issuer-unknown" {
        de: "{0} steht weder unter anchors noch unter issuers, also zählt seine Sperrliste nicht.", "Die Stelle in [trust] eintragen oder die Liste streichen.";
        en: "{0} stands neither under anchors nor under issuers, so its revocation list does not count.", "Enter the authority in [trust] or remove the list.";
    }
    Error RevocationListTwice "revocation-list-twice" {
        de: "Für {0} ist schon eine Sperrliste eingetragen.", "Je Stelle eine Liste eintragen: die, die von allen ihren Zertifikaten spricht.";
        en: "A revocation list is entered for {0} already.", "Enter one list for each authority: the one that speaks of all its certificates.";
    }
    Warning RevocationListStale "revocation-list-stale" {
        de: "Die Sperrliste zählt nur bis {0}: danach wird für keinen Schlüssel dieser Stelle mehr verschlüsselt.", "Die neue Liste der Stelle ablegen oder mit url eintragen, wo sie veröffentlicht wird.";
        en: "The revocation list counts until {0} only: after that nothing is sealed for any key of this authority.", "Put the authority's new list there, or enter with url where it is published.";
    }
    Error TrustWithoutAnchors "trust-without-anchors" {
        de: "Unter anchors steht keine Stelle, also würde kein Zertifikat geprüft.", "Die Stelle eintragen, der vertraut wird, oder den Abschnitt [trust] streichen.";
        en: "No authority stands under anchors, so no certificate would be checked.", "Enter the authority that is trusted, or remove the section [trust].";
    }
    Warning IssuerWithoutList "issuer-without-list" {
        de: "Für den Aussteller {0} ist keine Sperrliste eingetragen: Sperrungen bleiben unbemerkt.", "In [[trust.list]] eintragen, wo er sie veröffentlicht.";
        en: "No revocation list is entered for the issuer {0}: what it revokes stays unseen.", "Enter in [[trust.list]] where it publishes it.";
    }
    Error CertificateTwice "certificate-twice" {
        de: "Dasselbe Zertifikat ist schon in {0} eingetragen.", "Jeder Schlüssel gehört genau einem Beteiligten und einem Zweck.";
        en: "The same certificate is entered at {0} already.", "Each key belongs to exactly one participant and one purpose.";
    }
    Error CertificateHolderUnknown "certificate-holder-unknown" {
        de: "{0} ist zum Zweck {1} nirgends eingetragen.", "signing gehört zu Gateways und Brokern, encryption zu Behörden, Portalen und Registern.";
        en: "{0} is entered nowhere for the purpose {1}.", "signing belongs to gateways and brokers, encryption to authorities, portals and registers.";
    }
    Warning CertificateNotListed "certificate-not-listed" {
        de: "Dieses Zertifikat steht nicht in certificates.toml und zählt nicht.", "Eintragen oder löschen.";
        en: "This certificate is not in certificates.toml and does not count.", "Enter or delete it.";
    }
    Warning CertificateEndsSoon "certificate-ends-soon" {
        de: "Das letzte Zertifikat von {0} zum Zweck {1} endet am {2}.", "Rechtzeitig einen Nachfolger eintragen.";
        en: "The last certificate of {0} for the purpose {1} ends on {2}.", "Enter a successor in time.";
    }
    Warning TokenMissing "token-missing" {
        de: "Der Client {0} hat kein gültiges Token und kann nichts einreichen.", "In certificates/certificates.toml ein Token oder ein Zertifikat eintragen, oder oauth_client beim Client.";
        en: "The client {0} has no valid token and cannot post anything.", "Enter a token or a certificate in certificates/certificates.toml, or oauth_client with the client.";
    }
    Error TokenTwice "token-twice" {
        de: "Dasselbe Token ist schon für den Client {0} eingetragen.", "Jedem Client ein eigenes Token geben.";
        en: "The same token is entered for the client {0} already.", "Give each client a token of its own.";
    }
    Error ClientCertificateTwice "client-certificate-twice" {
        de: "Dasselbe Zertifikat ist schon für den Client {0} eingetragen.", "Jedem Client ein eigenes Zertifikat geben.";
        en: "The same certificate is entered for the client {0} already.", "Give each client a certificate of its own.";
    }
    Warning ClientCertificateMissing "client-certificate-missing" {
        de: "Der Client {0} muss ein Zertifikat zeigen, aber keines von ihm gilt heute.", "In certificates/certificates.toml einen Abschnitt client_certificate eintragen.";
        en: "The client {0} has to show a certificate, but none of it is valid today.", "Enter a section client_certificate in certificates/certificates.toml.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    #[test]
    fn codes_are_unique_and_both_languages_speak_of_the_same_things() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        let arguments = |text: &str| {
            (0..4)
                .filter(|n| text.contains(&format!("{{{n}}}")))
                .collect::<Vec<_>>()
        };
        for code in Code::ALL {
            for texts in [Code::sentence, Code::hint] {
                let (german, english) = (texts(*code, Lang::De), texts(*code, Lang::En));
                assert_eq!(arguments(german), arguments(english), "{}", code.as_str());
                assert!(german.ends_with('.') && english.ends_with('.'), "{}", code.as_str());
            }
        }
    }

    #[test]
    fn the_reference_is_what_the_catalogue_says() {
        let mut text = String::from(
            "# Findings of the routing tables\n\nGenerated from `src/catalogue.rs`; a test compares. `{0}`, `{1}` stand for what the finding is about.\n\n\
             | code | severity | Satz | Abhilfe | sentence | hint |\n|---|---|---|---|---|---|\n",
        );
        for code in Code::ALL {
            let cell = |text: &str| text.replace('|', "\\|");
            let row = [
                cell(code.sentence(Lang::De)),
                cell(code.hint(Lang::De)),
                cell(code.sentence(Lang::En)),
                cell(code.hint(Lang::En)),
            ];
            writeln!(
                text,
                "| `{}` | {} | {} |",
                code.as_str(),
                code.severity(),
                row.join(" | ")
            )
            .unwrap();
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/FINDINGS.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        if committed != text {
            let fresh = std::env::temp_dir().join("FINDINGS.md");
            std::fs::write(&fresh, &text).unwrap();
            panic!(
                "{path} is not what the catalogue says; the right text is in {}",
                fresh.display()
            );
        }
    }
}
