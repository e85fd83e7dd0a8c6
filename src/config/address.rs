//! Where a provider is: its base URL with the environment's parts filled in, or the lab.

use url::{Host, ParseError, Url};

use super::environment::Environment;
use super::types::{Dialect, Provider};

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host of the embedded lab, by the fault that it has; `None` for a sound one.
    Lab(Option<String>),
    /// A server: HTTPS, or HTTP on this machine. Without query, fragment or credentials.
    Host(Url),
}

/// Why a base URL cannot be used. Says nothing of the URL itself, which may hold an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It needs a variable that is not set, or set to nothing. The endpoint is then unmeasured.
    #[error("the base URL needs the environment variable {0}, which is not set")]
    Unset(String),
    /// A variable's value does not fit into an address.
    #[error("the value of the environment variable {0} does not fit into a URL")]
    Unfit(String),
    /// A `${` without end, or around something that is no name.
    #[error("in a base URL `${{NAME}}` stands for an environment variable, in capitals")]
    Placeholder,
    /// It is no URL.
    #[error("the base URL is none: it begins with https:// and a host")]
    Malformed,
    /// Its port is no number, or too large a one.
    #[error("the port in the base URL is none: ports go from 1 to 65535")]
    Port,
    /// Its host cannot be one.
    #[error("the host in the base URL cannot be one: {0}")]
    Host(ParseError),
    /// It is neither HTTPS nor on this machine, nor at a private address where that is allowed.
    #[error(
        "the base URL must be https (http is for this machine, with `allow_plain_http = true` for private addresses, lab: for the lab)"
    )]
    Insecure,
    /// It names the route as well.
    #[error("the base URL ends before `/chat/completions`, which is added: leave it out")]
    Route,
    /// It names another route, to which the one that is asked would be added.
    #[error("the base URL ends before `/{0}`: leave that out, since `/chat/completions` is added")]
    OtherRoute(&'static str),
    /// It holds a name or a password.
    #[error("the base URL must not hold a name or a password: name an environment variable in `api_key_env`")]
    Credentials,
    /// It holds a query or a fragment.
    #[error("the base URL must end before `?` and `#`: a query belongs into `dialect.path`")]
    Query,
}

impl Provider {
    /// Where requests to this provider go. Fails when a variable of its base URL is not set or the result is refused.
    pub fn address(&self, env: &Environment) -> Result<Address, AddressError> {
        self.parse(&fill(&self.base_url, |name| match env.get(name).filter(|v| !v.is_empty()) {
            Some(value) => value.to_str().map(ToOwned::to_owned).ok_or_else(|| AddressError::Unfit(name.to_owned())),
            None => Err(AddressError::Unset(name.to_owned())),
        })?)
    }

    /// Checks the base URL as far as that goes without the environment.
    pub(super) fn check_address(&self) -> Result<(), AddressError> {
        let base_url = &self.base_url;
        // A variable may stand for a word or for a number, such as a port.
        let check_with = |value: &str| {
            let filled = fill(base_url, |_| Ok(value.to_owned()))?;
            // What begins with a variable may be anything until its value is known.
            if base_url.starts_with("${") { Ok(()) } else { self.parse(&filled).map(drop) }
        };
        check_with("x").or_else(|refused| check_with("1").map_err(|_| refused))
    }

    /// Whether requests may go to this address unencrypted.
    pub fn may_be_plain(&self, url: &Url) -> bool {
        is_this_machine(url) || (self.allow_plain_http && is_private(url))
    }

    fn parse(&self, text: &str) -> Result<Address, AddressError> {
        if let Some(fault) = text.strip_prefix("lab:") {
            // Which faults there are is the lab's to know.
            return Ok(Address::Lab((!fault.is_empty()).then(|| fault.to_owned())));
        }
        let url = Url::parse(text).map_err(unparsed)?;
        if url.host().is_none() {
            return Err(AddressError::Malformed);
        }
        match url.scheme() {
            "https" => {}
            "http" if self.may_be_plain(&url) => {}
            _ => return Err(AddressError::Insecure),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::Query);
        }
        if self.dialect.path == Dialect::default().path {
            without_route(url.path())?;
        }
        Ok(Address::Host(url))
    }
}

/// What is wrong with text that is no URL.
fn unparsed(error: ParseError) -> AddressError {
    match error {
        ParseError::InvalidPort => AddressError::Port,
        ParseError::IdnaError
        | ParseError::InvalidIpv4Address
        | ParseError::InvalidIpv6Address
        | ParseError::InvalidDomainCharacter => AddressError::Host(error),
        _ => AddressError::Malformed,
    }
}

/// Other routes that hosts have beside that of chats.
const OTHER_ROUTES: [&str; 5] = ["completions", "embeddings", "messages", "models", "responses"];

/// Refuses a path that names a route: that of chats anywhere, others behind a version, since some hosts have `/models` before the
/// route of chats.
fn without_route(path: &str) -> Result<(), AddressError> {
    let path = path.trim_end_matches('/');
    if path.ends_with("/chat/completions") {
        return Err(AddressError::Route);
    }
    let Some((before, last)) = path.rsplit_once('/') else { return Ok(()) };
    let version = before.rsplit('/').next().and_then(|part| part.strip_prefix('v')).unwrap_or("");
    let is_version = !version.is_empty() && version.chars().all(|c| c.is_ascii_digit());
    match OTHER_ROUTES.into_iter().find(|route| *route == last) {
        Some(route) if is_version => Err(AddressError::OtherRoute(route)),
        _ => Ok(()),
    }
}

/// Whether an address is on this machine.
pub fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Ends of names that no public host has: names for private use (RFC 6762, RFC 9476 and ICANN's `internal`), and those in clusters.
const PRIVATE_ENDS: [&str; 6] = [".local", ".internal", ".lan", ".home.arpa", ".svc", ".test"];

/// Whether an address is reached in a private network alone.
fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            !name.contains('.') || PRIVATE_ENDS.iter().any(|end| name.to_ascii_lowercase().ends_with(end))
        }
        Some(Host::Ipv4(ip)) => ip.is_private() || ip.is_link_local(),
        Some(Host::Ipv6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local(),
        None => false,
    }
}

/// Replaces each `${NAME}` by its value. Only at the very beginning may a value be more than a part of a name, so that
/// an account's name cannot turn an address into another host's.
fn fill(template: &str, value: impl Fn(&str) -> Result<String, AddressError>) -> Result<String, AddressError> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or(AddressError::Placeholder)?;
        if !is_variable(name) {
            return Err(AddressError::Placeholder);
        }
        out.push_str(before);
        let value = value(name)?;
        let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        if !plain && !out.is_empty() {
            return Err(AddressError::Unfit(name.to_owned()));
        }
        out.push_str(&value);
        rest = after;
    }
    Ok(out + rest)
}

/// Whether this can name an environment variable: capitals, digits, `_`. Capitals only, so that a credential put where
/// its variable belongs is not taken for a name, and printed as one.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address<const N: usize>(base_url: &str, variables: [(&str, &str); N]) -> Result<Address, AddressError> {
        let provider: Provider = toml::from_str(&format!("base_url = '{base_url}'")).unwrap();
        provider.address(&Environment::from_iter(variables))
    }

    fn check(base_url: &str) -> Result<(), AddressError> {
        toml::from_str::<Provider>(&format!("base_url = {}", toml::Value::from(base_url))).unwrap().check_address()
    }

    #[test]
    fn http_is_for_this_machine_only() {
        for url in ["http://localhost:8000/v1", "http://127.0.0.1:8000", "http://[::1]/v1", "https://api.example/v1"] {
            assert!(matches!(address(url, []), Ok(Address::Host(_))), "{url}");
        }
        for url in ["http://api.example/v1", "http://localhost.example", "ftp://localhost", "http://10.0.0.1"] {
            assert_eq!(address(url, []), Err(AddressError::Insecure), "{url}");
        }
    }

    #[test]
    fn http_goes_to_private_addresses_where_that_is_allowed_and_to_no_others() {
        let plain = |base_url: &str| {
            let provider: Provider =
                toml::from_str(&format!("base_url = '{base_url}'\nallow_plain_http = true")).unwrap();
            provider.address(&Environment::from_iter([("A", "a")]))
        };
        for url in [
            "http://10.0.0.1/v1",
            "http://192.168.1.5:8000",
            "http://vllm:8000/v1",
            "http://m.ns.svc",
            "http://[fd00::1]/v1",
        ] {
            assert!(matches!(plain(url), Ok(Address::Host(_))), "{url}");
        }
        for url in ["http://api.example.com/v1", "http://8.8.8.8", "http://local.example.com", "ftp://10.0.0.1"] {
            assert_eq!(plain(url), Err(AddressError::Insecure), "{url}");
        }
    }

    #[test]
    fn the_route_is_no_part_of_the_base_url() {
        assert_eq!(address("https://api.example/v1/chat/completions", []), Err(AddressError::Route));
        assert_eq!(address("https://api.example/v1/chat/completions/", []), Err(AddressError::Route));
        for route in ["completions", "models", "responses"] {
            let refused = address(&format!("https://api.example/v1/{route}/"), []);
            assert_eq!(refused, Err(AddressError::OtherRoute(route)));
        }
        for sound in ["https://api.example/models", "https://api.example/v1", "https://api.example/openai/responses"] {
            assert!(address(sound, []).is_ok(), "{sound}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_port_or_a_host_is_said() {
        assert_eq!(address("http://127.0.0.1:99999/v1", []), Err(AddressError::Port));
        assert_eq!(address("https://h.example:port/v1", []), Err(AddressError::Port));
        assert_eq!(address("https://1.2.3.999/v1", []), Err(AddressError::Host(ParseError::InvalidIpv4Address)));
        assert_eq!(address("h.example/v1", []), Err(AddressError::Malformed));
    }

    #[test]
    fn an_address_that_holds_a_password_or_a_query_is_refused() {
        assert_eq!(address("https://me:pw@host/v1", []), Err(AddressError::Credentials));
        assert_eq!(address("https://host/v1?key=1", []), Err(AddressError::Query));
        for url in ["", "host/v1", "https://", "mailto:me"] {
            assert!(address(url, []).is_err(), "{url}");
        }
    }

    #[test]
    fn the_lab_is_named_with_its_fault() {
        assert_eq!(address("lab:", []), Ok(Address::Lab(None)));
        assert_eq!(address("lab:double-bos", []), Ok(Address::Lab(Some("double-bos".into()))));
        assert_eq!(address("lab:a=1+b", []), Ok(Address::Lab(Some("a=1+b".into()))));
    }

    #[test]
    fn variables_are_filled_in_and_a_missing_one_is_named() {
        let template = "https://${ACCOUNT}.example/v1";
        let filled = address(template, [("ACCOUNT", "a-1")]).unwrap();
        assert_eq!(filled, Address::Host("https://a-1.example/v1".parse().unwrap()));
        assert_eq!(address(template, []), Err(AddressError::Unset("ACCOUNT".into())));
        assert_eq!(address(template, [("ACCOUNT", "")]), Err(AddressError::Unset("ACCOUNT".into())));
    }

    #[test]
    fn a_value_within_an_address_cannot_change_the_host_but_one_at_the_beginning_may_be_the_host() {
        let unfit = address("https://${ACCOUNT}.example/v1", [("ACCOUNT", "evil.test/?")]);
        assert_eq!(unfit, Err(AddressError::Unfit("ACCOUNT".into())));
        assert!(address("${HOST}/v1", [("HOST", "https://h.test:8443")]).is_ok());
        assert_eq!(address("${HOST}/v1", [("HOST", "http://h.test")]), Err(AddressError::Insecure));
    }

    #[test]
    fn what_can_be_checked_without_the_environment_is_checked() {
        for sound in ["https://${A}.example/${B}", "${HOST}/v1/${A}", "http://localhost:${PORT}", "lab:flaky-host"] {
            assert_eq!(check(sound), Ok(()), "{sound}");
        }
        for unsound in ["https://${A", "${A", "https://${a-b}.example", "http://${A}.example", "${A}/${b}"] {
            assert!(check(unsound).is_err(), "{unsound}");
        }
    }

    proptest! {
        #[test]
        fn what_the_check_refuses_no_environment_makes_usable(url in "(https?://|lab:)?[a-z$A{}.:/@?#-]{0,24}") {
            if check(&url).is_err() {
                prop_assert!(address(&url, [("A", "a"), ("AA", "b")]).is_err());
            }
        }
    }
}
