//! Targets: endpoints resolved to an address, a key and time limits, checked before anything is sent.
//!
//! Layer 3. What is wrong with an address is told here, by the endpoint's name, and not by the first failed request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::encoding;
use crate::config::{Auth, Endpoint, Provider, Timeouts, is_this_machine};

/// An endpoint ready to be asked, with its own pool of connections. Cheap to clone; its debug output shows no key.
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) endpoint: String,
    pub(super) url: Url,
    /// The same for messages: as configured, so that nothing of the environment is shown, and without its query.
    pub(super) shown: String,
    /// Where the host lists its models.
    pub(super) models: Url,
    pub(super) headers: HeaderMap,
    pub(super) limits: TimeLimits,
    pub(super) slow_down: Vec<u16>,
    pub(super) http: reqwest::Client,
    pub(super) kept: KeptConnections,
    /// Sends each request on a connection of its own; made when it is first needed.
    unpooled: Arc<OnceLock<reqwest::Client>>,
}

/// How many connections may be kept for the next requests, at most: those whose responses were read to their ends.
#[derive(Debug, Clone, Default)]
pub(super) struct KeptConnections(Arc<AtomicUsize>);

impl KeptConnections {
    /// Notes that a connection may be kept.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one, where there may be one; whether there may.
    pub fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |kept| kept.checked_sub(1)).is_ok()
    }
}

/// Whether a response with these headers says nothing of closing its connection.
pub(super) fn keeps_connection(headers: &HeaderMap) -> bool {
    headers.get(CONNECTION).is_none_or(|value| !value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Time limits of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeLimits {
    pub connect: Duration,
    pub first_byte: Duration,
    pub idle: Duration,
    pub total: Duration,
}

/// Why an endpoint cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("endpoint `{endpoint}`: {problem}")]
pub struct TargetError {
    /// The endpoint.
    pub endpoint: String,
    /// What is wrong with it, and what to do.
    pub problem: Problem,
}

/// What is wrong with an endpoint's settings.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A variable in the base URL is not set.
    #[error("base_url `{base_url}` needs the environment variable `{name}`: set it")]
    Unset {
        /// The base URL as configured.
        base_url: String,
        /// The variable.
        name: String,
    },
    /// The base URL is none.
    #[error("base_url `{base_url}` {problem}")]
    Url {
        /// The base URL as configured.
        base_url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Plain HTTP to another machine.
    #[error(
        "base_url `{0}` is not HTTPS: plain http is for this machine (localhost, 127.0.0.1, [::1]), and with `allow_plain_http = true` \
         for private addresses"
    )]
    Insecure(String),
    /// The key cannot be sent.
    #[error("its key holds characters that no HTTP header can carry, such as a line end: check the variable or file")]
    Key,
    /// A configured header cannot be sent.
    #[error("header `{0}` cannot be set: it is no valid header, or one that carries credentials or the client sets")]
    Header(String),
    /// A time limit is not a positive number.
    #[error("timeout.{0} must be a positive number of seconds")]
    Timeout(&'static str),
    /// TLS could not be set up.
    #[error("cannot set up TLS: {0}; are the system's root certificates installed (or SSL_CERT_FILE set)?")]
    Tls(String),
}

/// Headers that are not for `providers.toml`: keys come from the environment, and the rest is set by the client.
const RESERVED: &[&str] = &[
    "accept",
    "accept-encoding",
    "api-key",
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "proxy-authorization",
    "transfer-encoding",
    "x-api-key",
];

impl Target {
    /// Resolves `endpoint` at `provider`. `timeouts` hold where the provider sets none; `key` is sent as the
    /// provider's `auth` says; `lookup` gives environment variables for `${NAME}` in the base URL.
    ///
    /// # Errors
    ///
    /// When the base URL is no HTTPS address (or HTTP on this machine), names an unset variable, or carries
    /// credentials; when a header, the key or a time limit cannot be used; when TLS cannot be set up.
    pub fn resolve(
        endpoint: &Endpoint,
        provider: &Provider,
        timeouts: &Timeouts,
        key: Option<&SecretString>,
        lookup: impl Fn(&str) -> Option<String> + Copy,
    ) -> Result<Self, TargetError> {
        let settle = || {
            let url = address(provider, &provider.dialect.path, lookup)?;
            let shown = shown(provider);
            let models = address(provider, "models", lookup)?;
            let limits = TimeLimits::new(provider.timeout.as_ref().unwrap_or(timeouts))?;
            let headers = headers(provider, key)?;
            let http = connections(&url, limits.connect, ANY)?;
            let slow_down = provider.dialect.rate_limit_statuses.clone();
            let (endpoint, kept, unpooled) = (endpoint.name.clone(), KeptConnections::default(), Arc::default());
            Ok(Self { endpoint, url, shown, models, headers, limits, slow_down, http, kept, unpooled })
        };
        settle().map_err(|problem| TargetError { endpoint: endpoint.name.clone(), problem })
    }

    /// The endpoint's name.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where the host lists its models; the address without its query, for messages and to know it again.
    pub fn listing_address(&self) -> String {
        let mut shown = self.models.clone();
        shown.set_query(None);
        shown.to_string()
    }

    /// A client that sends each request on a connection of its own.
    pub(super) fn unpooled(&self) -> &reqwest::Client {
        // What was set up once can be set up again.
        self.unpooled
            .get_or_init(|| connections(&self.url, self.limits.connect, NONE).unwrap_or_else(|_| self.http.clone()))
    }

    /// Host and port, for messages.
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl TimeLimits {
    fn new(seconds: &Timeouts) -> Result<Self, Problem> {
        let positive = |name, value: f64| {
            let duration = Duration::try_from_secs_f64(value).ok().filter(|duration| !duration.is_zero());
            // A year is as good as no limit, and no sum of it with a moment overflows.
            duration.map(|limit| limit.min(Duration::from_hours(365 * 24))).ok_or(Problem::Timeout(name))
        };
        Ok(Self {
            connect: positive("connect", seconds.connect)?,
            first_byte: positive("first_byte", seconds.first_byte)?,
            idle: positive("idle", seconds.idle)?,
            total: positive("total", seconds.total)?,
        })
    }
}

/// The full address: variables filled in, `path` appended, the query kept. Errors show the base URL as configured, so
/// that nothing of the environment is shown.
fn address(provider: &Provider, path: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Url, Problem> {
    let base_url = provider.base_url.as_str();
    let bad = |problem: &str| Problem::Url { base_url: base_url.to_owned(), problem: problem.to_owned() };
    let filled = filled(base_url, lookup)?;
    let mut url = Url::parse(&filled).map_err(|error| bad(&format!("is not a URL: {error}")))?;
    match url.scheme() {
        "https" => {}
        "http" if provider.may_be_plain(&url) => {}
        "http" => return Err(Problem::Insecure(base_url.to_owned())),
        "lab" => return Err(bad("names the lab, whose address is known only while it runs")),
        _ => return Err(bad("must begin with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("carries credentials: put the key into the variable that api_key_env names"));
    }
    url.set_fragment(None);
    url.path_segments_mut()
        .map_err(|()| bad("cannot be followed by a path"))?
        .pop_if_empty()
        .extend(path.split('/').filter(|segment| !segment.is_empty()));
    Ok(url)
}

fn shown(provider: &Provider) -> String {
    let path = provider.dialect.path.split('?').next().unwrap_or_default();
    format!("{}/{path}", provider.base_url.trim_end_matches('/'))
}

fn filled(base_url: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, Problem> {
    let mut out = String::new();
    let mut rest = base_url;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or_else(|| Problem::Url {
            base_url: base_url.to_owned(),
            problem: "has a `${` without its `}`".to_owned(),
        })?;
        let value = lookup(name).filter(|value| !value.is_empty());
        out.push_str(before);
        out.push_str(&value.ok_or_else(|| Problem::Unset { base_url: base_url.to_owned(), name: name.to_owned() })?);
        rest = after;
    }
    Ok(out + rest)
}

fn headers(provider: &Provider, key: Option<&SecretString>) -> Result<HeaderMap, Problem> {
    let mut out = HeaderMap::new();
    for (name, value) in &provider.headers {
        let bad = || Problem::Header(name.clone());
        let name = HeaderName::try_from(name.as_str()).map_err(|_| bad())?;
        if RESERVED.contains(&name.as_str()) {
            return Err(bad());
        }
        out.insert(name, HeaderValue::from_str(value).map_err(|_| bad())?);
    }
    if let Some(key) = key {
        let (name, text) = match provider.auth {
            Auth::Bearer => (AUTHORIZATION, format!("Bearer {}", key.expose_secret())),
            Auth::ApiKey => (HeaderName::from_static("api-key"), key.expose_secret().to_owned()),
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| Problem::Key)?;
        value.set_sensitive(true);
        out.insert(name, value);
    }
    Ok(out)
}

/// How many connections a client keeps for the next requests.
const ANY: usize = usize::MAX;
const NONE: usize = 0;

fn connections(url: &Url, connect: Duration, most_kept: usize) -> Result<reqwest::Client, Problem> {
    let asked = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(encoding::ASKED_FOR))]);
    let mut builder = reqwest::Client::builder()
        .default_headers(asked)
        // Of several members the library would read the first.
        .no_gzip()
        .user_agent(concat!("samemodel/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // Every attempt is recorded, so none may be made behind our back.
        .retry(reqwest::retry::never())
        .connect_timeout(connect)
        .pool_max_idle_per_host(most_kept)
        .referer(false);
    if is_this_machine(url) {
        // What is on this machine is not reached through a proxy.
        builder = builder.no_proxy();
    }
    if url.scheme() == "http" {
        // Plain HTTP needs no root certificates, which a bare container does not have.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| Problem::Tls(super::transport::innermost(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Dialect;
    use std::collections::BTreeMap;

    fn provider(base_url: &str) -> Provider {
        Provider {
            base_url: base_url.into(),
            allow_plain_http: false,
            api_key_env: None,
            auth: Auth::Bearer,
            headers: BTreeMap::new(),
            concurrency: 1,
            requests_per_minute: None,
            dialect: Dialect::default(),
            timeout: None,
        }
    }

    fn resolve(provider: &Provider, key: Option<&str>) -> Result<Target, String> {
        let endpoint = Endpoint {
            name: "e".into(),
            provider: "p".into(),
            model: "m".into(),
            price: None,
            extra_body: None,
            prompt_tokens_offset: 0,
            twin: false,
            expected_model: None,
            stream: None,
        };
        let key = key.map(SecretString::from);
        let lookup = |name: &str| (name == "ACCOUNT").then(|| "a1".to_owned());
        Target::resolve(&endpoint, provider, &Timeouts::default(), key.as_ref(), lookup)
            .map_err(|error| error.to_string())
    }

    fn url(base_url: &str) -> Result<String, String> {
        address(&provider(base_url), "chat/completions", |name| (name == "ACCOUNT").then(|| "a1".to_owned()))
            .map(String::from)
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn the_path_follows_the_base_whatever_its_ending() {
        let full = "https://h.example/v1/chat/completions";
        assert_eq!(url("https://h.example/v1").unwrap(), full);
        assert_eq!(url("https://h.example/v1/").unwrap(), full);
        assert_eq!(url("https://h.example").unwrap(), "https://h.example/chat/completions");
        assert_eq!(
            url("https://h.example/models?api-version=1").unwrap(),
            "https://h.example/models/chat/completions?api-version=1"
        );
        assert_eq!(url("https://h.example/${ACCOUNT}/v1").unwrap(), "https://h.example/a1/v1/chat/completions");
    }

    #[test]
    fn plain_http_is_refused_unless_it_stays_on_this_machine() {
        for local in ["http://127.0.0.1:80/v1", "http://localhost:8000", "http://[::1]:1/v1", "http://127.9.9.9"] {
            assert!(url(local).is_ok(), "{local}");
        }
        for remote in ["http://h.example/v1", "http://127.0.0.1.example", "http://10.0.0.1", "http://localhost.example"]
        {
            let told = url(remote).unwrap_err();
            assert!(told.contains(remote) && told.contains("not HTTPS"), "{told}");
        }
    }

    #[test]
    fn a_bad_address_is_told_with_the_endpoint_and_what_to_do() {
        for (base_url, expected) in [
            ("https://${NOBODY}.example", "needs the environment variable `NOBODY`: set it"),
            ("https://${NOBODY", "has a `${` without its `}`"),
            ("nonsense", "is not a URL"),
            ("ftp://h.example", "must begin with https://"),
            ("lab:", "names the lab"),
            ("https://me:pw@h.example", "carries credentials"),
        ] {
            let told = resolve(&provider(base_url), None).unwrap_err();
            assert!(told.starts_with("endpoint `e`: ") && told.contains(expected), "{told}");
        }
    }

    #[test]
    fn the_key_goes_where_the_host_wants_it_and_shows_nowhere() {
        let target = resolve(&provider("http://localhost"), Some("canary-1")).unwrap();
        assert_eq!(target.headers[AUTHORIZATION], "Bearer canary-1");
        assert!(!format!("{target:?}").contains("canary"));
        let azure = Provider { auth: Auth::ApiKey, ..provider("http://localhost") };
        let target = resolve(&azure, Some("canary-1")).unwrap();
        assert_eq!((target.headers.len(), &target.headers["api-key"] == "canary-1"), (1, true));
        let told = resolve(&azure, Some("canary\n1")).unwrap_err();
        assert!(told.contains("its key holds characters") && !told.contains("canary"), "{told}");
    }

    #[test]
    fn headers_that_carry_credentials_are_refused() {
        for (name, value) in [("Authorization", "x"), ("x y", "x"), ("x", "a\nb"), ("Cookie", "x")] {
            let mut provider = provider("http://localhost");
            provider.headers.insert(name.into(), value.into());
            assert!(resolve(&provider, None).unwrap_err().contains(&format!("header `{name}`")));
        }
    }

    #[test]
    fn a_time_limit_that_is_none_is_refused() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let timeouts = Timeouts { idle: value, ..Timeouts::default() };
            let provider = Provider { timeout: Some(timeouts), ..provider("http://localhost") };
            assert!(resolve(&provider, None).unwrap_err().contains("timeout.idle"));
        }
    }
}
