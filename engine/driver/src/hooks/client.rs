//! One hook: where it is, what is accepted of it, and the HTTP that it is asked by.

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::Agent;
use ureq::http::{HeaderValue, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use wampline_shard::HookFailure;
use zeroize::Zeroizing;

/// Where a hook is and how much it may take. Formatting shows none of it: there may be secrets in the URL, too.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSettings {
    /// Where questions are posted: `http://` or `https://`.
    pub url: String,
    /// The authorities that the hook's certificate must lead to, in PEM; without, those that the system trusts.
    pub authorities: Option<Vec<u8>>,
    /// What the router proves itself by to the hook: sent as `Authorization: Bearer`. Visible ASCII.
    pub token: Option<Zeroizing<String>>,
    /// How long finding its address and connecting may take.
    pub connect_timeout: Duration,
    /// How long a question may take, from the moment at which it is asked to the last octet of the answer.
    pub timeout: Duration,
    /// Connections at a time, and threads; at least 1.
    pub connections_max: usize,
    /// Questions that may wait for a connection; at least 1, or nothing can be asked.
    pub waiting_max: usize,
    /// Octets of an answer's body.
    pub answer_bytes_max: usize,
}

impl HookSettings {
    /// The defaults for everything but the address.
    pub fn new(url: impl Into<String>) -> HookSettings {
        HookSettings {
            url: url.into(),
            authorities: None,
            token: None,
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            connections_max: 4,
            waiting_max: 1024,
            answer_bytes_max: 64 << 10,
        }
    }
}

impl fmt::Debug for HookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookSettings").finish_non_exhaustive()
    }
}

/// Why there can be no such hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookError {
    /// The URL is none, or of another kind.
    Url,
    /// The authorities are not PEM: why.
    Authorities(String),
    /// There is no certificate among the authorities.
    NoAuthority,
    /// The system has no list of authorities that could be read: why.
    NoSystemAuthorities(String),
    /// The token is empty, or has characters that a header cannot carry.
    Token,
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HookError::Url => f.write_str(
                "expected http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH], without user and fragment",
            ),
            HookError::Authorities(why) => write!(f, "the authorities are not valid PEM: {why}"),
            HookError::NoAuthority => {
                f.write_str("no certificate: expected PEM with `-----BEGIN CERTIFICATE-----`")
            }
            HookError::Token => {
                f.write_str("the token cannot stand in a header, expected letters, digits and marks of ASCII")
            }
            HookError::NoSystemAuthorities(why) => write!(
                f,
                "the system has no authorities to trust ({why}): install its package of CA certificates, or name \
                 the hook's own authority"
            ),
        }
    }
}

impl std::error::Error for HookError {}

/// A hook that can be asked.
#[derive(Clone)]
pub struct Hook {
    settings: Arc<HookSettings>,
    /// The URL without what may be secret in it.
    shown: Arc<str>,
    /// What the router proves itself by.
    authorization: Option<HeaderValue>,
    /// Keeps the connections; clones share them.
    agent: Agent,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("url", &self.shown).finish_non_exhaustive()
    }
}

/// What went wrong, and why, for the log.
type Failure = (HookFailure, String);

impl Hook {
    /// Checks the settings; connects to nothing.
    ///
    /// # Errors
    /// The URL, the authorities or the token cannot be used.
    pub fn new(settings: HookSettings) -> Result<Hook, HookError> {
        let uri: Uri = settings.url.parse().map_err(|_| HookError::Url)?;
        let (scheme, authority) = (uri.scheme_str(), uri.authority().ok_or(HookError::Url)?);
        let is_https = scheme == Some("https");
        let is_usable = (is_https || scheme == Some("http")) && !authority.host().is_empty();
        if !is_usable || authority.as_str().contains('@') || settings.url.contains('#') {
            return Err(HookError::Url);
        }
        let roots = match &settings.authorities {
            Some(pem) => own_authorities(pem)?,
            None if is_https => system_authorities()?,
            None => Vec::new(),
        };
        let shown = format!("{}://{authority}{}", scheme.unwrap_or_default(), uri.path()).into();
        let authorization = settings.token.as_ref().map(|token| authorization(token)).transpose()?;
        let agent = agent(&settings, &roots);
        Ok(Hook { settings: Arc::new(settings), shown, authorization, agent })
    }

    /// The URL, without what may be secret in it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    pub(super) fn connections_max(&self) -> usize {
        self.settings.connections_max.max(1)
    }

    pub(super) fn waiting_max(&self) -> usize {
        self.settings.waiting_max
    }

    /// Posts JSON and waits for the answer, or for the deadline.
    pub(super) fn post(&self, body: &[u8], deadline: Instant) -> Result<Vec<u8>, Failure> {
        let first = self.try_post(body, deadline);
        match first {
            // The hook may have closed a connection that was kept.
            Err(Attempt::Broken(_)) => self.try_post(body, deadline),
            other => other,
        }
        .map_err(Attempt::into_failure)
    }

    fn try_post(&self, body: &[u8], deadline: Instant) -> Result<Vec<u8>, Attempt> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Attempt::Failed((HookFailure::TimedOut, "no time was left".to_owned())));
        }
        let mut request = self.agent.post(&self.settings.url).config().timeout_global(Some(left)).build();
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let mut response = request.header("Content-Type", "application/json").send(body)?;
        let status = response.status();
        if !status.is_success() {
            let failure = (HookFailure::Status(status.as_u16()), format!("its status is {status}"));
            return Err(Attempt::Failed(failure));
        }
        let most = self.settings.answer_bytes_max;
        // ureq refuses what is as long as its limit.
        Ok(response.body_mut().with_config().limit(most as u64 + 1).read_to_vec()?)
    }
}

/// How asking once has ended without an answer.
enum Attempt {
    /// The connection broke.
    Broken(String),
    Failed(Failure),
}

impl Attempt {
    fn into_failure(self) -> Failure {
        match self {
            Attempt::Broken(why) => (HookFailure::Unreachable, why),
            Attempt::Failed(failure) => failure,
        }
    }
}

impl From<ureq::Error> for Attempt {
    fn from(error: ureq::Error) -> Attempt {
        use ureq::Error;
        let why = error.to_string();
        let failure = match &error {
            Error::Timeout(_) => HookFailure::TimedOut,
            Error::Io(error) => match error.kind() {
                ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe => return Attempt::Broken(why),
                ErrorKind::TimedOut | ErrorKind::WouldBlock => HookFailure::TimedOut,
                _ => HookFailure::Unreachable,
            },
            Error::Protocol(_)
            | Error::Http(_)
            | Error::BodyExceedsLimit(_)
            | Error::LargeResponseHeader(..)
            | Error::BodyStalled => HookFailure::Malformed,
            _ => HookFailure::Unreachable,
        };
        Attempt::Failed((failure, why))
    }
}

fn agent(settings: &HookSettings, roots: &[Certificate<'static>]) -> Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::new_with_certs(roots))
        .build();
    let connections = settings.connections_max.max(1);
    Agent::config_builder()
        .tls_config(tls)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .accept("application/json")
        .user_agent(concat!("Wampline/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(settings.connect_timeout))
        .timeout_connect(Some(settings.connect_timeout))
        .max_idle_connections(connections)
        .max_idle_connections_per_host(connections)
        .build()
        .new_agent()
}

/// The header by which the router proves itself.
fn authorization(token: &str) -> Result<HeaderValue, HookError> {
    if token.is_empty() || !token.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(HookError::Token);
    }
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text).map_err(|_| HookError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

fn own_authorities(pem: &[u8]) -> Result<Vec<Certificate<'static>>, HookError> {
    let read: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| HookError::Authorities(error.to_string()))?;
    if read.is_empty() {
        return Err(HookError::NoAuthority);
    }
    Ok(read.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}

fn system_authorities() -> Result<Vec<Certificate<'static>>, HookError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map_or_else(|| "none was found".to_owned(), ToString::to_string);
        return Err(HookError::NoSystemAuthorities(why));
    }
    Ok(found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}
