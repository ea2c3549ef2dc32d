//! Calls to servers in this process, and to missing ones.

use tokio::net::TcpListener;

use super::backend::Backend;
use super::*;
use crate::services::config::Span;

fn settings() -> Settings {
    let millis = |n| Span(Duration::from_millis(n));
    Settings { connect_timeout: millis(300), read_timeout: millis(300), ..Settings::default() }
}

fn outbound(settings: &Settings) -> Outbound {
    Outbound::open(settings, Path::new("."), &Arc::default()).unwrap()
}

fn get(url: &str) -> Call {
    Call {
        uri: url.parse().unwrap(),
        method: Method::GET,
        headers: HeaderMap::new(),
        set: HeaderMap::new(),
        body: Bytes::new(),
        identity: None,
        trust: None,
        timeout: None,
        max_bytes: None,
        public_only: false,
    }
}

#[tokio::test]
async fn a_call_brings_an_answer_and_leaves_connection_fields_out() {
    let backend =
        Backend::start("HTTP/1.1 201 Created\r\nX-A: b\r\nConnection: x-secret\r\nX-Secret: 1\r\nContent-Length: 2\r\n\r\nok")
            .await;
    let port = backend.port;
    let mut call = get(&format!("http://127.0.0.1:{port}/a?b=c"));
    for (name, value) in
        [("x-keep", "1"), ("connection", "x-drop"), ("x-drop", "1"), ("accept-encoding", "gzip"), ("host", "evil")]
    {
        call.headers.append(name, value.parse().unwrap());
    }
    let answer = outbound(&settings()).call(call).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (201, &b"ok"[..]));
    assert!(answer.headers().contains_key("x-a") && !answer.headers().contains_key("x-secret"));
    let head = backend.take().concat();
    assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n") && head.contains(&format!("host: 127.0.0.1:{port}")), "{head}");
    assert!(head.contains("x-keep: 1") && !head.contains("x-drop") && !head.contains("gzip") && !head.contains("evil"), "{head}");
}

#[tokio::test]
async fn failures_have_their_codes() {
    let silent = Backend::start("").await.port;
    let large = Backend::start("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789").await.port;
    let broken = Backend::start("nonsense\r\n\r\n").await.port;
    // A listener that accepts no connections answers the TCP handshake, but not TLS.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = mute.local_addr().map(|address| (address.port(), mute)).unwrap();
    let settings = Settings { response_bytes: crate::services::config::units::Bytes(5), ..settings() };
    for (url, code) in [
        ("http://no-such-host.invalid/".to_owned(), -1),
        ("ftp://127.0.0.1/".to_owned(), -2),
        ("/relative".to_owned(), -2),
        (format!("http://user@127.0.0.1:{large}/"), -2),
        (format!("https://127.0.0.1:{}/", mute.0), -3),
        (format!("http://127.0.0.1:{silent}/"), -4),
        (format!("http://127.0.0.1:{large}/"), -5),
        (format!("http://127.0.0.1:{broken}/"), -5),
        ("http://127.0.0.1:1/".to_owned(), -5),
    ] {
        let error = outbound(&settings).call(get(&url)).await.unwrap_err();
        assert_eq!(error.failed.code(), code, "{url}: {error}");
    }
}

#[test]
fn targets_can_be_narrowed() {
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let targets = Targets::new(&Settings {
        allow: strings(&["api.example", "*.inner.example:8443", "10.0.0.1", "[::1]:80", "9.9.9.9"]),
        deny: strings(&["bad.inner.example"]),
        private_targets: false,
        ..Settings::default()
    })
    .unwrap();
    for (url, fine) in [
        ("https://api.example/", true),
        ("https://API.example./", true),
        ("https://api.example.evil/", false),
        ("https://a.inner.example:8443/", true),
        ("https://a.inner.example/", false),
        ("https://inner.example:8443/", false),
        ("https://bad.inner.example:8443/", false),
        ("http://10.0.0.1/", false),
        ("http://[::1]/", false),
        ("http://9.9.9.9/", true),
    ] {
        assert_eq!(targets.check(&url.parse().unwrap()).is_ok(), fine, "{url}");
    }
    for (address, private) in [
        ("127.0.0.1", true),
        ("169.254.169.254", true),
        ("100.64.0.1", true),
        ("192.168.1.1", true),
        ("::ffff:10.0.0.1", true),
        ("fd00::1", true),
        ("fe80::1", true),
        ("0.0.0.0", true),
        ("8.8.8.8", false),
        ("2606:4700::1111", false),
    ] {
        assert_eq!(policy::is_private(address.parse().unwrap()), private, "{address}");
    }
}

#[test]
fn addresses_are_judged_by_what_they_reach() {
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let targets = |deny: &[&str], allow: &[&str], private: bool| {
        let settings = Settings { deny: strings(deny), allow: strings(allow), private_targets: private, ..Settings::default() };
        Targets::new(&settings).unwrap().beside(vec![8443], "Gateway.example")
    };
    let fine = |targets: &Targets, url: &str, address: &str| {
        let target = targets.check(&url.parse().unwrap());
        target.is_ok_and(|target| targets.admits(&target, address.parse().unwrap()).is_ok())
    };
    let by_name = targets(&["10.0.0.0/8", "169.254.169.254:80", "bad.example"], &["*.example", "other.test:443"], true);
    for (url, address, expected) in [
        ("http://a.example/", "192.0.2.1", true),
        // The address counts, however it is written.
        ("http://a.example/", "10.1.2.3", false),
        ("http://a.example/", "::ffff:10.1.2.3", false),
        ("http://a.example/", "64:ff9b::a01:203", false),
        ("http://a.example/", "64:ff9b:1::a01:203", false),
        ("http://a.example/", "2002:a01:203::1", false),
        ("http://a.example/", "::10.1.2.3", false),
        ("http://a.example/", "2001:0:c000:201::f5fe:fdfc", false),
        ("http://a.example/", "fe80::5efe:a01:203", false),
        ("http://a.example/", "169.254.169.254", false),
        ("https://a.example/", "169.254.169.254", true),
        ("http://bad.example./", "192.0.2.1", false),
        ("http://BAD.example/", "192.0.2.1", false),
        ("https://other.test/", "192.0.2.1", true),
        ("http://other.test/", "192.0.2.1", false),
        ("http://example.test/", "192.0.2.1", false),
        // A foreign name that leads back here.
        ("http://a.example:8443/", "127.0.0.1", false),
        ("http://a.example:8443/", "::ffff:127.0.0.2", false),
        ("http://gateway.example:8443/", "127.0.1.1", true),
        ("http://a.example:8444/", "127.0.0.1", true),
    ] {
        assert_eq!(fine(&by_name, url, address), expected, "{url} {address}");
    }
    let public = targets(&[], &[], false);
    for address in [
        "127.0.0.1",
        "0.0.0.0",
        "::",
        "::1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
    ] {
        assert!(!fine(&public, "http://a.example/", address), "{address}");
    }
    for address in ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"] {
        assert!(fine(&public, "http://a.example/", address), "{address}");
    }
    for wrong in ["", "10.0.0.0/33", "http://a", "a b", "a:port", "*.", "*.10.0.0.1", "[::1", "a:70000"] {
        let settings = Settings { deny: strings(&[wrong]), ..Settings::default() };
        assert!(Targets::new(&settings).is_err(), "{wrong:?}");
    }
}

#[test]
fn the_host_that_is_called_is_the_one_that_was_checked() {
    let targets = Targets::default();
    for (url, called) in [
        ("http://127.1/a?b", "http://127.0.0.1/a?b"),
        ("http://0x7f.1:81/", "http://127.0.0.1:81/"),
        ("https://API.Example./x", "https://api.example/x"),
        ("http://[::FFFF:1.2.3.4]/", "http://1.2.3.4/"),
        ("http://a.example/", "http://a.example/"),
    ] {
        assert_eq!(targets.check(&url.parse().unwrap()).unwrap().uri.to_string(), called, "{url}");
    }
    for url in
        ["http://user@a/", "http://a%2eb/", "http://1.2.3.4.5/", "http://256.1.1.1/", "http://[fe80::1%25lo]/", "ftp://a/", "/a"]
    {
        assert!(url.parse::<Uri>().map_or(true, |uri| targets.check(&uri).is_err()), "{url}");
    }
}

/// What a client may make the gateway call: public addresses, and what the settings name for that.
#[test]
fn clients_choose_public_targets_only() {
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let fine = |settings: &Settings, url: &str, address: &str| {
        let targets = Targets::new(settings).unwrap().of_clients(settings).unwrap();
        let target = targets.check(&url.parse().unwrap());
        target
            .is_ok_and(|target| targets.asks_for_addresses(&target) && targets.admits(&target, address.parse().unwrap()).is_ok())
    };
    let plain = Settings::default();
    for private in [
        "127.0.0.1",
        "127.9.9.9",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
    ] {
        assert!(!fine(&plain, "https://rp.example/keys", private), "{private}");
        let url = if private.contains(':') { format!("https://[{private}]/keys") } else { format!("https://{private}/keys") };
        assert!(!fine(&plain, &url, private), "{url}");
    }
    // Other spellings of an address are that address.
    for url in [
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://localhost/",
        "http://a.localhost./",
    ] {
        assert!(!fine(&plain, url, "127.0.0.1"), "{url}");
    }
    assert!(fine(&plain, "https://rp.example/keys", "93.184.216.34") && fine(&plain, "https://93.184.216.34/", "93.184.216.34"));
    let named = Settings { client_targets: strings(&["rp.example:8443", "10.2.0.0/16"]), ..Settings::default() };
    for (url, address, expected) in [
        ("https://rp.example:8443/", "127.0.0.1", true),
        ("https://rp.example/", "127.0.0.1", false),
        ("https://a.rp.example:8443/", "127.0.0.1", false),
        ("https://other.example/", "10.2.3.4", true),
        ("https://10.2.3.4/", "10.2.3.4", true),
        ("https://other.example/", "10.3.0.1", false),
        ("https://other.example/", "93.184.216.34", true),
    ] {
        assert_eq!(fine(&named, url, address), expected, "{url} at {address}");
    }
    // `deny`, `allow` and `private_targets` still hold.
    let denied = Settings { deny: strings(&["10.2.0.1"]), ..named.clone() };
    assert!(!fine(&denied, "https://other.example/", "10.2.0.1"));
    let closed = Settings { private_targets: false, ..named };
    assert!(!fine(&closed, "https://rp.example:8443/", "127.0.0.1"));
    let wrong = Settings { client_targets: strings(&["a b"]), ..Settings::default() };
    assert!(Outbound::open(&wrong, Path::new("."), &Arc::default()).is_err());
}

/// DNS rebinding: a name that leads to an allowed address when it is checked, and to a private one when it is used.
#[tokio::test]
async fn a_name_that_changes_its_address_leads_to_no_private_one() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let private = Backend::start(OK).await;
    let allowed = Backend::at(&format!("127.0.0.2:{}", private.port), OK).await;
    let settings = Settings { client_targets: vec!["127.0.0.2".to_owned()], ..settings() };
    let mut outbound = outbound(&settings);
    let answers = Arc::new(Mutex::new(std::collections::VecDeque::<Vec<std::net::IpAddr>>::new()));
    let mut targets = policy::Targets::clone(&outbound.client_targets);
    targets.names = connector::Names::Scripted(Arc::clone(&answers));
    outbound.client_targets = Arc::new(targets);
    let says = |rounds: &[&[&str]]| {
        *answers.lock().unwrap() =
            rounds.iter().map(|found| found.iter().map(|address| address.parse().unwrap()).collect()).collect();
    };
    let call = || Call { public_only: true, ..get(&format!("http://rp.example:{}/", private.port)) };

    // One look-up a connection: what is checked is what is connected to.
    says(&[&["127.0.0.2"], &["127.0.0.1"]]);
    assert!(outbound.call(call()).await.is_ok());
    assert_eq!((allowed.take().len(), answers.lock().unwrap().len()), (1, 1));
    // The next connection meets the other answer, and is refused.
    assert_eq!(outbound.call(call()).await.unwrap_err().failed, Failed::BadUrl);
    // Checked before, used later.
    says(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let target = outbound.check(&call().uri, true).unwrap();
    assert!(outbound.admit(&target, true).await.is_ok());
    assert_eq!(outbound.call(call()).await.unwrap_err().failed, Failed::BadUrl);
    // Several addresses at once: only the allowed one is tried, wherever it stands.
    for found in [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"], ["::ffff:127.0.0.1", "127.0.0.2"]] {
        says(&[&found]);
        assert!(outbound.call(call()).await.is_ok(), "{found:?}");
    }
    assert_eq!(allowed.take().len(), 3);
    for found in ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "::ffff:7f00:1"] {
        says(&[&[found]]);
        assert_eq!(outbound.call(call()).await.unwrap_err().failed, Failed::BadUrl, "{found}");
    }
    assert_eq!(private.take().len(), 0, "somebody came");
}

/// A connection that a policy's own call left open is not used for a client's URL.
#[tokio::test]
async fn clients_do_not_share_connections_with_policies() {
    let backend = Backend::start("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let outbound = outbound(&settings());
    let url = format!("http://localhost:{}/", backend.port);
    assert!(outbound.call(get(&url)).await.is_ok());
    let error = outbound.call(Call { public_only: true, ..get(&url) }).await.unwrap_err();
    assert_eq!(error.failed, Failed::BadUrl, "{error}");
    assert_eq!(backend.take().len(), 1);
    let target = outbound.check(&url.parse().unwrap(), true).unwrap();
    assert!(outbound.admit(&target, true).await.is_err() && outbound.admit(&target, false).await.is_ok());
}

/// A server over TLS that keeps its connections; it answers everything with 200.
async fn secured(keys: &KeyStore) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let identity = Arc::new(SingleCertAndKey::from(keys.certified("default_ssl_key").unwrap()));
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_cert_resolver(identity)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = hyper_util::rt::TokioIo::new(acceptor.accept(stream).await?);
                let answer = hyper::service::service_fn(|_| async {
                    Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
                });
                let served = hyper::server::conn::http1::Builder::new().serve_connection(stream, answer).await;
                served.map_err(std::io::Error::other)
            });
        }
    });
    port
}

/// Whoever withdraws a trust tells nobody but the keys: no connection, and nothing made to open one, outlives it.
#[tokio::test]
async fn a_trust_that_is_withdrawn_counts_for_the_next_call() {
    let now = crate::data::time::Clock::default().now_millis();
    let (near, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let theirs = KeyStore::open(&far.path().join("keys"), "localhost", now).unwrap();
    let ours = Arc::new(KeyStore::open(&near.path().join("keys"), "localhost", now).unwrap());
    let url = format!("https://localhost:{}/", secured(&theirs).await);
    let outbound = Outbound::open(&settings(), Path::new("."), &ours).unwrap();
    let works = || async { outbound.call(get(&url)).await };
    for round in 0..3 {
        let refused = works().await.unwrap_err().to_string();
        assert!(refused.contains("UnknownIssuer"), "{round}: {refused}");
        ours.trust("theirs", &theirs.authority_file(), now).unwrap();
        works().await.unwrap();
        works().await.unwrap();
        ours.distrust("theirs").unwrap();
    }
}

/// A call with a list of trusted certificates trusts these alone, whatever the gateway trusts; connections of other lists are not its own.
#[tokio::test]
async fn a_call_may_trust_some_certificates_alone() {
    let now = crate::data::time::Clock::default().now_millis();
    let folder = || tempfile::tempdir().unwrap();
    let (near, one, other) = (folder(), folder(), folder());
    let open = |folder: &tempfile::TempDir| KeyStore::open(&folder.path().join("keys"), "localhost", now).unwrap();
    let (one, other) = (open(&one), open(&other));
    let ours = Arc::new(open(&near));
    ours.trust("one", &one.authority_file(), now).unwrap();
    ours.trust("other", &other.authority_file(), now).unwrap();
    // The server's own certificate, without its authority.
    let leaf = near.path().join("leaf.pem");
    std::fs::write(&leaf, one.key("default_ssl_key").unwrap().certificate.as_ref().unwrap().pem()).unwrap();
    ours.trust("leaf", &leaf, now).unwrap();
    let (at_one, at_other) = (secured(&one).await, secured(&other).await);
    let outbound = Outbound::open(&settings(), Path::new("."), &ours).unwrap();
    let call = |host: &str, port: u16, trust: &[&str]| {
        let trust: Arc<[SmolStr]> = trust.iter().map(SmolStr::new).collect();
        let trust = Some(trust).filter(|trust| !trust.is_empty());
        let call = Call { trust, ..get(&format!("https://{host}:{port}/")) };
        async { outbound.call(call).await.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string()) }
    };
    for _ in 0..2 {
        assert_eq!(call("localhost", at_one, &[]).await, Ok(200));
        assert_eq!(call("localhost", at_other, &[]).await, Ok(200));
        assert_eq!(call("localhost", at_one, &["one"]).await, Ok(200));
        assert_eq!(call("localhost", at_one, &["leaf"]).await, Ok(200));
        assert_eq!(call("localhost", at_other, &["one", "other"]).await, Ok(200));
        for trust in [&["one"][..], &["leaf"], &["one", "leaf"]] {
            let refused = call("localhost", at_other, trust).await.unwrap_err();
            assert!(refused.contains("UnknownIssuer"), "{trust:?}: {refused}");
        }
        let refused = call("localhost", at_one, &["one", "gone"]).await.unwrap_err();
        assert!(refused.contains("there is no trusted certificate `gone`"), "{refused}");
    }
    // The name counts, even if the certificate itself is listed.
    let answers = Arc::new(Mutex::new(std::collections::VecDeque::from([vec![std::net::IpAddr::from([127, 0, 0, 1])]])));
    let mut strange = Outbound::open(&settings(), Path::new("."), &ours).unwrap();
    let mut targets = policy::Targets::clone(&strange.targets);
    targets.names = connector::Names::Scripted(answers);
    strange.targets = Arc::new(targets);
    let trust = Some(Arc::from([SmolStr::new("leaf")]));
    let refused =
        strange.call(Call { trust, ..get(&format!("https://strange.example:{at_one}/")) }).await.unwrap_err().to_string();
    assert!(refused.contains("not valid for name"), "{refused}");
    ours.distrust("one").unwrap();
    let refused = call("localhost", at_one, &["one"]).await.unwrap_err();
    assert!(refused.contains("there is no trusted certificate `one`"), "{refused}");
    assert_eq!(call("localhost", at_one, &["leaf"]).await, Ok(200));
}
