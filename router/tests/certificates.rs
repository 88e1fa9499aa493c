//! Certificates and keys: every form that is accepted, and what is said about those that are not.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rustls_pki_types::PrivatePkcs8KeyDer;
use support::{check, folder};

/// A listener with TLS from these two files of the folder.
fn with_tls(folder: &Path, certificate: &str, key: &str) -> support::Ended {
    let text = format!(
        "[[listeners]]\nlisten = \"127.0.0.1:0\"\n\n[listeners.tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"
    );
    check(folder, &text)
}

/// The one error that is expected, less the folder's name.
#[track_caller]
fn fails(folder: &Path, certificate: &str, key: &str, expected: &str) {
    let ended = with_tls(folder, certificate, key);
    let shown = ended.stderr.replace(&format!("{}/", folder.display()), "");
    assert_eq!((ended.code, shown.trim_end()), (Some(1), expected));
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn certificate(key: &KeyPair) -> String {
    CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(key).unwrap().pem()
}

/// What a PKCS#8 document wraps: its third element, an octet string. Lengths are below 2^16.
fn unwrapped(pkcs8: &[u8]) -> &[u8] {
    /// Tag, contents, rest.
    fn element(octets: &[u8]) -> (u8, &[u8], &[u8]) {
        let (header, length) = match octets[1] {
            0x81 => (3, usize::from(octets[2])),
            0x82 => (4, usize::from(octets[2]) << 8 | usize::from(octets[3])),
            short => (2, usize::from(short)),
        };
        (octets[0], &octets[header..header + length], &octets[header + length..])
    }
    let (_, document, _) = element(pkcs8);
    let (_, _, after_version) = element(document);
    let (_, _, after_algorithm) = element(after_version);
    let (tag, key, _) = element(after_algorithm);
    assert_eq!(tag, 4, "an octet string");
    key
}

fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let bits = group
                .iter()
                .enumerate()
                .fold(0_u32, |bits, (i, octet)| bits | u32::from(*octet) << (16 - 8 * i));
            for i in 0..4 {
                let digit = ALPHABET[(bits >> (18 - 6 * i)) as usize & 63];
                text.push(if i <= group.len() { char::from(digit) } else { '=' });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

#[test]
fn client_certificates() {
    let folder = folder("tls-clients");
    let key = KeyPair::generate().unwrap();
    write(&folder, "chain.pem", certificate(&key));
    write(&folder, "key.pem", key.serialize_pem());
    write(&folder, "empty.pem", "");
    let checked = |more: &str| {
        let text = format!(
            "[[listeners]]\nlisten = \"127.0.0.1:0\"\n[listeners.tls]\n\
             certificate = \"chain.pem\"\nkey = \"key.pem\"\n{more}"
        );
        let ended = check(&folder, &text);
        let shown = ended.stderr.replace(&format!("{}/", folder.display()), "");
        (ended.code, shown.trim_end().to_owned())
    };
    for which in ["optional", "required"] {
        let text = format!(
            "client_certificates = {which:?}\nclient_authorities = \"chain.pem\"\nchannel_binding = true"
        );
        assert_eq!(checked(&text), (Some(0), String::new()));
    }
    for (text, expected) in [
        (
            "client_certificates = \"required\"",
            "wampline.toml:6:23: client certificates cannot be checked, expected client_authorities beside this key",
        ),
        (
            "client_authorities = \"chain.pem\"",
            "wampline.toml:6:22: nobody is asked for a certificate, expected client_certificates = \"optional\" or \
             \"required\"",
        ),
        (
            "client_certificates = \"optional\"\nclient_authorities = \"empty.pem\"",
            "wampline.toml:7:22: the authorities in \"empty.pem\": no certificate: expected PEM with \
             `-----BEGIN CERTIFICATE-----`",
        ),
        (
            "client_certificates = true",
            "wampline.toml:6:23: true is not valid here, expected \"off\" or \"optional\" or \"required\"",
        ),
        ("channel_binding = \"on\"", "wampline.toml:6:19: \"on\" is not valid here, expected true or false"),
        (
            "[[listeners]]\nlisten = \"127.0.0.1:1\"\norigins = [\"*\"]\ntls = { certificate = \"chain.pem\", key = \"key.pem\" }\n\
             cookie = { name = \"a\", same_site = \"none\" }",
            "wampline.toml:10:36: any web page could act as whoever has logged in, expected another same_site, or origins by \
             name",
        ),
    ] {
        assert_eq!(checked(text), (Some(1), expected.to_owned()));
    }
}

#[test]
fn every_form_of_key_is_accepted() {
    let folder = folder("tls-forms");
    let ec = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let rsa = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let rsa: Vec<u8> = aws_lc_rs::encoding::AsDer::as_der(&rsa).unwrap().as_ref().to_vec();
    let rsa = KeyPair::try_from(&PrivatePkcs8KeyDer::from(rsa)).unwrap();
    for (name, key, label) in
        [("ec", &ec, "EC PRIVATE KEY"), ("rsa", &rsa, "RSA PRIVATE KEY"), ("ed25519", &ed, "")]
    {
        write(&folder, "chain.pem", certificate(key));
        write(&folder, "key.pem", pem("PRIVATE KEY", key.serialized_der()));
        let ended = with_tls(&folder, "chain.pem", "key.pem");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{name} as PKCS#8");
        if !label.is_empty() {
            write(&folder, "key.pem", pem(label, unwrapped(key.serialized_der())));
            let ended = with_tls(&folder, "chain.pem", "key.pem");
            assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{name} as {label}");
        }
    }
}

#[test]
fn a_chain_of_several_and_both_in_one_file_are_accepted() {
    let folder = folder("tls-chain");
    let (own, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    write(&folder, "all.pem", certificate(&own) + &certificate(&other) + &own.serialize_pem());
    let ended = with_tls(&folder, "all.pem", "all.pem");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn what_cannot_serve_is_told_apart() {
    let folder = folder("tls-bad");
    let (own, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    write(&folder, "chain.pem", certificate(&own));
    write(&folder, "key.pem", own.serialize_pem());
    write(&folder, "other.pem", other.serialize_pem());
    write(&folder, "empty.pem", "");
    write(&folder, "cut.pem", &certificate(&own)[..100]);
    write(&folder, "junk.pem", pem("CERTIFICATE", b"not X.509"));
    write(&folder, "junk-key.pem", pem("PRIVATE KEY", b"not PKCS#8"));
    write(&folder, "pkcs8-encrypted.pem", pem("ENCRYPTED PRIVATE KEY", b"secret"));
    write(
        &folder,
        "pkcs1-encrypted.pem",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    );

    fails(
        &folder,
        "none.pem",
        "key.pem",
        r#"wampline.toml:5:15: "none.pem" cannot be read: No such file or directory (os error 2)"#,
    );
    fails(
        &folder,
        "chain.pem",
        "none.pem",
        r#"wampline.toml:6:7: "none.pem" cannot be read: No such file or directory (os error 2)"#,
    );
    fails(
        &folder,
        "empty.pem",
        "key.pem",
        r#"wampline.toml:5:15: "empty.pem" holds no certificate, expected PEM with "-----BEGIN CERTIFICATE-----""#,
    );
    fails(
        &folder,
        "key.pem",
        "key.pem",
        r#"wampline.toml:5:15: "key.pem" holds no certificate, expected PEM with "-----BEGIN CERTIFICATE-----""#,
    );
    fails(
        &folder,
        "chain.pem",
        "chain.pem",
        r#"wampline.toml:6:7: "chain.pem" holds no private key, expected PEM with PKCS#8, PKCS#1 or SEC1"#,
    );
    fails(
        &folder,
        "chain.pem",
        "other.pem",
        concat!(
            r#"wampline.toml:6:7: the key in "other.pem" does not belong to the first certificate in "chain.pem", "#,
            "expected the key that the certificate was made for"
        ),
    );
    for encrypted in ["pkcs8-encrypted.pem", "pkcs1-encrypted.pem"] {
        let expected = format!(
            "wampline.toml:6:7: the key in \"{encrypted}\" is encrypted, expected an unencrypted one \
             (decrypt it: openssl pkey -in ENCRYPTED -out KEY)"
        );
        fails(&folder, "chain.pem", encrypted, &expected);
    }
    for (certificate, key, begins) in [
        ("cut.pem", "key.pem", r#"wampline.toml:5:15: "cut.pem" is not well-formed PEM: "#),
        ("junk.pem", "key.pem", r#"wampline.toml:5:15: the first certificate in "junk.pem" is not usable "#),
        ("chain.pem", "junk-key.pem", r#"wampline.toml:6:7: the key in "junk-key.pem" is not usable "#),
        (".", "key.pem", r#"wampline.toml:5:15: "." cannot be read: "#),
    ] {
        let ended = with_tls(&folder, certificate, key);
        let shown = ended.stderr.replace(&format!("{}/", folder.display()), "");
        assert_eq!(ended.code, Some(1), "{certificate} {key}");
        assert!(shown.starts_with(begins), "{certificate} {key}: {shown}");
    }
}

#[test]
fn tls_on_a_unix_socket_and_unknown_versions_are_refused() {
    let folder = folder("tls-where");
    let key = KeyPair::generate().unwrap();
    write(&folder, "all.pem", certificate(&key) + &key.serialize_pem());
    let text = "[[listeners]]\nlisten = \"unix:w.sock\"\ntls = { certificate = \"all.pem\", key = \"all.pem\" }\n\
                [[listeners]]\nlisten = \"127.0.0.1:0\"\n\
                tls = { certificate = \"all.pem\", key = \"all.pem\", versions = [\"1.1\"] }\n";
    let ended = check(&folder, text);
    let path = folder.join("wampline.toml").display().to_string();
    let expected = format!(
        "{path}:3:23: TLS is of no use on a Unix socket, expected a TCP address or no tls\n\
         {path}:6:63: \"1.1\" is not valid here, expected \"1.2\" or \"1.3\"\n"
    );
    assert_eq!((ended.code, ended.stderr), (Some(1), expected));
    let one = "[[listeners]]\nlisten = \"127.0.0.1:0\"\n\
               tls = { certificate = \"all.pem\", key = \"all.pem\", versions = [\"1.2\"] }\n";
    assert_eq!(check(&folder, one).code, Some(0));
}
