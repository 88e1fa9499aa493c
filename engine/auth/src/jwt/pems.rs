//! Public keys in PEM.

/// The RSA key of RFC 7515, appendix A.2.
pub(super) const RSA: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj
NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz
P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo
9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB
EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX
FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp
oQIDAQAB
-----END PUBLIC KEY-----
";

/// The key of RFC 7515, appendix A.3.
pub(super) const P256: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
-----END PUBLIC KEY-----
";

/// The key of RFC 8037, appendix A.2.
pub(super) const ED25519: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";

/// An RSA key that is too short.
pub(super) const RSA_1024: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDB64GQ5OBF2AzuZGOi+8QuJY8w
Y68DILBdbM0q7AU/CvDmRKR86S6tilXxYQr7kOa5dRS3P9Nh4oREdmJ7Hsg6M90b
BU4VSoxTp3V+ruBCD7TLLboBF6Yt9d6M0ohelRHzn++3XUSlnUMP3Ugj4cTpkx0E
sIBwZSRfCargHZ//LwIDAQAB
-----END PUBLIC KEY-----
";

/// A key on a curve that is not used.
pub(super) const P384: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEY9nd6KzgD4TieudjSZPdryt1mkctuaA3
epkkerVazAA4GTJLae+ZyPj7HtT3HOcomR8+05s3vNytjWlotnUwcLT4Xn1eCX9/
P1JQTVrSp+toAQsOMNd76dTEcezOoPC4
-----END PUBLIC KEY-----
";
