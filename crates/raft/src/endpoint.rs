//! `host:port` of a listener for other nodes.

/// Host and port of `endpoint`; an IPv6 address stands in brackets. Nothing if it is empty or not
/// an endpoint.
pub(crate) fn parse_endpoint(endpoint: &str) -> Option<(String, u16)> {
    let (host, port) = endpoint.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then_some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_host_and_port() {
        assert_eq!(parse_endpoint("a.b:9093"), Some(("a.b".to_owned(), 9093)));
        assert_eq!(parse_endpoint("[::1]:9093"), Some(("::1".to_owned(), 9093)));
        for bad in ["", "a", ":9093", "a:", "a:99999"] {
            assert_eq!(parse_endpoint(bad), None, "{bad}");
        }
    }
}
