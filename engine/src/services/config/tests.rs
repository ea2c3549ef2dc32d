//! What operators write, and which errors they get.

use super::units::Bytes;
use super::*;

fn own(text: &str) -> Result<Config, ConfigErrors> {
    Config::read([("gateway.yaml", text)])
}

#[test]
fn an_address_that_verifies_too_little_is_refused_without_showing_its_password() {
    for url in ["mysql://u:hunter2@db.example/x?ssl-mode=REQUIRED", "postgres://u:hunter2@db.example/x?sslmode=prefer"] {
        for text in [format!("connections: {{ A: '{url}' }}"), format!("connections:\n  A:\n    url: {url}\n")] {
            let error = own(&text).unwrap_err().to_string();
            assert!(
                error.contains("connection `A`") && error.contains("allow_plaintext") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
    // A mistake next to a password.
    for entry in [
        "{ typo: 1, url: 'mysql://u:hunter:2@hunter2@db/x' }",
        "{ typo: 1, url: mysql://u:hunter2@db/x, pool_size: 2 }",
        "{ typo: 1, url: 'mysql://db/x', password: hunter2 }",
        "{ \"typo\": 1, \"password\": \"hunter2\" }",
    ] {
        let error = own(&format!("connections: {{ A: {entry} }}")).unwrap_err();
        assert!(error.0[0].line.contains("typo") && !error.to_string().contains("hunter"), "{error}");
    }
    own("connections: { A: { url: 'mysql://u@db.example/x?ssl-mode=REQUIRED', allow_plaintext: true } }").unwrap();
    own("connections: { A: { url: 'mysql://u@db.example/x', ca: ca.pem } }").unwrap();
}

#[test]
fn nothing_written_means_the_documented_defaults() {
    for text in ["", "# only a comment\n", "limits:\n"] {
        let config = own(text).unwrap();
        assert_eq!(config, Config::default(), "{text:?}");
        assert_eq!(config.limits.header_bytes, Bytes(32768));
        assert_eq!(config.listeners.https, ListenAddress::At(([127, 0, 0, 1], 8443).into()));
    }
}

#[test]
fn units_read_as_written() {
    let config =
        own("limits: { header_bytes: 16 KiB, body_bytes: 2 MiB, idle_timeout: 5m, header_timeout: 250ms, request_timeout: 7 }\n\
         listeners: { https: 127.0.0.1:0, http: off }\ntls: { min_version: 1.3 }\nproperties: { a: 1, b: true, c: x y }\n")
        .unwrap();
    assert_eq!((config.limits.header_bytes, config.limits.body_bytes), (Bytes(16384), Bytes(2 << 20)));
    assert_eq!(config.limits.idle_timeout.0.as_secs(), 300);
    assert_eq!(config.limits.header_timeout.0.as_millis(), 250);
    assert_eq!(config.limits.request_timeout.0.as_secs(), 7);
    assert_eq!(config.listeners.http, ListenAddress::Off);
    assert_eq!(config.tls.min_version, TlsVersion::V13);
    let properties: Vec<_> = config.properties.values().map(|p| p.0.as_str()).collect();
    assert_eq!(properties, ["1", "true", "x y"]);
}

#[test]
fn an_unknown_key_names_place_and_nearest() {
    let error = own("host_name: a\nlisteners:\n  htps: 1.2.3.4:1\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "error: unknown key `htps` in `listeners`\n --> gateway.yaml:3:3\n3 |   htps: 1.2.3.4:1\n  |   ^ did you mean `https`?"
    );
    let error = own("conections: {}\n").unwrap_err();
    assert!(error.to_string().contains("did you mean `connections`?"), "{error}");
    let error = own("connections:\n  A: { url: 'sqlite://x', pasword: y }\n").unwrap_err();
    assert!(error.to_string().contains("unknown key `pasword` in `connections.A`"), "{error}");
    assert!(error.to_string().contains("did you mean `password`?"), "{error}");
}

#[test]
fn a_bad_value_says_what_would_fit() {
    for (text, part) in [
        ("limits: { idle_timeout: soon }", "`soon` is not a duration such as"),
        ("limits: { body_bytes: [1] }", "a size such as"),
        ("listeners: { trusted_proxies: [10.0.0.0/40] }", "`10.0.0.0/40` is not a network such as"),
        ("listeners: { forwarded_header: Via }", "`X-Forwarded-For` or `Forwarded`"),
        ("listeners: { https: nowhere }", "an address and port"),
        ("tls: { min_version: 1.1 }", "not a supported TLS version"),
        ("limits: { header_bytes: 100 }", "must be 8 KiB or more"),
        ("instance_modifier: a/b", "may contain only letters"),
        ("listeners: { https: off, http: off }", "nobody could reach"),
        ("identity_providers: { L: { type: ldap } }", "needs a `url`"),
        ("connections: { A: data/x.db }", "is not a database URL"),
        ("connections: { A: 'u:hunter2@db' }", "this is not a database URL"),
        ("host_name: [", "gateway.yaml:"),
        ("host_name: a b", "is not a host name"),
    ] {
        let error = own(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn the_operator_s_entries_replace_shipped_ones_by_name() {
    let shipped = "connections: { A: 'sqlite://data/a.db', B: 'sqlite://data/b.db' }\nproperties: { x: 1 }\n";
    let own = "connections: { B: { url: 'postgres://db/b', user: u } }\nproperties: { y: 2 }\n";
    let config = Config::read([("shipped", shipped), ("gateway.yaml", own)]).unwrap();
    assert_eq!(config.connections["A"].url, "sqlite://data/a.db");
    assert_eq!(config.connections["B"].url, "postgres://db/b");
    assert_eq!(config.properties.len(), 2);
}

#[test]
fn passwords_never_print() {
    let config = own("connections: { A: { url: 'mysql://u:hunter2@db/x', password: hunter3 } }").unwrap();
    let printed = format!("{config:?}");
    assert!(!printed.contains("hunter"), "{printed}");
}

/// The template that `init` writes: it sets nothing, and every line is valid without its `#`.
#[test]
fn the_shipped_template_is_true() {
    let template = include_str!("../../../../policies/gateway.template.yaml");
    let defaults = ("gateway.defaults.yaml", include_str!("../../../../policies/gateway.defaults.yaml"));
    let shipped = Config::read([defaults]).unwrap();
    assert_eq!(Config::read([defaults, ("gateway.yaml", template)]).unwrap(), shipped);
    // Options come commented with `#key` or `#  key`, prose with `# Prose`. Of an entry shown twice, the second is the example.
    let prose = |line: &str| line.strip_prefix("# ").is_some_and(|rest| !rest.starts_with(' '));
    let mut lines: Vec<&str> =
        template.lines().filter(|line| line.starts_with('#') && !prose(line)).map(|line| &line[1..]).collect();
    let mut seen = std::collections::HashSet::new();
    lines = lines
        .into_iter()
        .rev()
        .filter(|line| !line.contains("sqlite:") && !line.contains("OAuth: none") && (!line.ends_with(':') || seen.insert(*line)))
        .collect();
    lines.reverse();
    let mut full = Config::read([("gateway.yaml", lines.join("\n").as_str())]).unwrap_or_else(|error| panic!("{error}"));
    // What is taken where nothing is written need not be free; what is written must be.
    assert_eq!(full.monitoring.listen.take(), ListenAddress::parse("127.0.0.1:8444"));
    let default = Config::default();
    assert_eq!((&full.listeners, &full.tls, &full.limits), (&default.listeners, &default.tls, &default.limits));
    assert_eq!((&full.logging, &full.outbound, &full.monitoring), (&default.logging, &default.outbound, &default.monitoring));
    assert_eq!((&full.reload, &full.host_name), (&default.reload, &default.host_name));
}

#[test]
fn tasks_have_an_interval_or_a_time() {
    let config = own("tasks: { A: { every: 2h, days: [sat, sun], nodes: all }, B: { once: '2027-01-31T03:00:00Z' } }").unwrap();
    assert_eq!(config.tasks["A"].every, Some(Span(std::time::Duration::from_secs(7200))));
    assert_eq!((config.tasks["A"].enabled, config.tasks["A"].nodes), (true, Nodes::All));
    assert_eq!(config.tasks["B"].once, Some(Moment(1_801_364_400_000)));
    assert!(config.schedule_zone.is_utc() && config.tasks["A"].zone.is_none());
    let config = own("schedule_zone: europe/berlin\ntasks: { A: { zone: '+02:00' } }").unwrap();
    assert_eq!(config.schedule_zone.name(), "Europe/Berlin");
    assert_eq!(config.tasks["A"].zone.as_ref().map(Zone::name), Some("+02:00"));
    for (text, wrong) in [
        ("tasks: { A: { every: 10ms } }", "`tasks`, `A`: `every` must be 1s or more"),
        ("tasks: { A: { every: soon } }", "`soon` is not a duration"),
        ("tasks: { A: { every: 1m, once: '2027-01-31T03:00:00Z' } }", "excludes `every`"),
        ("tasks: { A: { once: tomorrow } }", "`tomorrow` is not a time"),
        ("tasks: { A: { days: [someday] } }", "someday"),
        ("tasks: { A: { nodes: two } }", "two"),
        ("tasks: { A: { zone: Europe/Atlantis } }", "`Europe/Atlantis` is not a time zone such as `Europe/Berlin`"),
        ("schedule_zone: summer", "`summer` is not a time zone"),
    ] {
        let error = own(text).unwrap_err().to_string();
        assert!(error.contains(wrong), "{text}: {error}");
    }
}

#[test]
fn a_gateway_that_others_reach_needs_a_name() {
    let nameless = |text: &str| {
        let config = Config::read([("gateway.yaml", text)]).unwrap();
        config.nameless(&config.listeners)
    };
    let found = nameless("listeners: { https: 192.0.2.1:8443 }").unwrap();
    assert!(found.contains("192.0.2.1:8443") && found.contains("`host_name` in gateway.yaml"), "{found}");
    for text in ["host_name: localhost\nlisteners: { https: ':8443' }", "listeners: { https: 127.0.0.1:1, http: '[::]:2' }"] {
        assert!(nameless(text).is_some(), "{text}");
    }
    assert_eq!(nameless("{}"), None);
    let local = ["127.0.0.1:1", "'[::1]:1'", "'[::ffff:127.0.0.1]:1'", "localhost:1", "off"];
    for text in local.map(|address| format!("listeners: {{ https: 127.0.0.1:2, http: {address} }}")) {
        assert_eq!(nameless(&text), None, "{text}");
    }
    assert_eq!(nameless("host_name: login.example.com"), None);
}

#[test]
fn security_is_one_of_two_words() {
    let security = |text: &str| Config::read([("gateway.yaml", text)]).map(|config| config.security);
    assert_eq!(security("{}").unwrap(), Security::Standard);
    assert_eq!(security("security: strict").unwrap(), Security::Strict);
    let error = security("host_name: a\nsecurity: Strictly").unwrap_err().to_string();
    assert!(error.contains(":2") && error.contains("`standard` or `strict`"), "{error}");
}

#[test]
fn all_mistakes_are_told_at_once_and_no_password_with_them() {
    let text = "host_name: a b
limits:
  idle_timeout: soon
  header_bytes: 100
  body_timeout: -1
listeners: { htps: off }
logging: { level: inof }
identity_providers:
  L: { type: ldap }
  F: { type: federated, subject: '(' }
enable:
- [x]
connections:
  A: jdbc:oracle:thin:scott/hunter2@db:1521:orcl
  B: oracle://u:hunter2@db/x
  C: mysql://u:hunter2#w@h/d
  D:
    url: postgres://u:hunter2@127.0.0.1/d?sslmode=nonsense
    pool_size: many
  E: postgres://u:hunter2@127.0.0.1/d?sslmode=nonsense
  F: { url: 'mysql://u:hunter2 hunter3@h/d', typo: 1 }
  G: u:hunter2@db
  H: sqlite://
  I: [x]
  J: { url: postgres://db.example/d, password: hunter2, pool_size: x }
";
    let errors = own(text).unwrap_err();
    let places: Vec<usize> = errors.0.iter().map(|error| error.place.unwrap().0).collect();
    let told = errors.to_string();
    assert_eq!(places, [1, 3, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 19, 20, 21, 22, 23, 24, 25], "{told}");
    assert!(!told.contains("hunter"), "{told}");
    for part in ["unknown kind of database `oracle`", "`inof` is not a log level", "unknown key `htps`", "needs a `url`"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_text_that_is_no_yaml_is_one_mistake() {
    let errors = own("limits: { idle_timeout: soon }\nhost_name: [\n").unwrap_err();
    assert_eq!(errors.0.len(), 1, "{errors}");
}

#[test]
fn log_levels_are_levels() {
    for level in ["info", "WARN", "off", "info,portcullis::services::store=debug", "portcullis::front=trace,error", "2"] {
        assert!(own(&format!("logging: {{ level: '{level}' }}")).is_ok(), "{level}");
    }
    for level in ["inof", "info,debgu", "portcullis=loud"] {
        assert!(own(&format!("logging: {{ level: '{level}' }}")).is_err(), "{level}");
    }
}

#[test]
fn values_stand_elsewhere_and_no_message_shows_them() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    put("db.password", "hunter2: #{'\"\n");
    put("number", "7\n");
    put("words", "not a number\n");
    put("large", &"x".repeat(70_000));
    let read = |text: &str| Config::read_in(dir.path(), [("gateway.yaml", text)]);
    // Whatever a value holds is a value.
    let config =
        read("connections: { A: { url: 'mysql://u@db/x', password: '${file:db.password}', pool_size: '${file:number}' } }")
            .unwrap();
    assert_eq!(config.connections["A"].password.as_deref(), Some("hunter2: #{'\""));
    assert_eq!(config.connections["A"].pool_size, Some(7));
    let config =
        read("properties:\n  path: ${env:PATH}\n  both: a ${file:number} b ${file:number}\n  text: $${env:PATH} ${gateway.x}\n")
            .unwrap();
    assert_eq!(config.properties["path"].0, std::env::var("PATH").unwrap());
    assert_eq!(config.properties["both"].0, "a 7 b 7");
    assert_eq!(config.properties["text"].0, "${env:PATH} ${gateway.x}");
    assert_eq!(
        read("connections: { A: { url: 'mysql://u@db/x', password: '${file:number}' } }").unwrap().connections["A"]
            .password
            .as_deref(),
        Some("7")
    );
    for (text, part) in [
        ("host_name: x\nsecrets: ['${env:PORTCULLIS_NOT_THERE}']", ":2:12"),
        ("secrets: ['${env:PORTCULLIS_NOT_THERE}']", "no variable `PORTCULLIS_NOT_THERE`"),
        ("secrets: ['${file:gone}']", "No such file"),
        ("secrets: ['${file:.}']", "is not a regular file"),
        ("secrets: ['${file:large}']", "longer than 64 KiB"),
        ("secrets: ['${env:PATH']", "no closing brace"),
        ("host_name: x\nlimits: { max_connections: '${file:words}' }", "gateway.yaml:2:"),
        ("host_name: ${file:words}", "`${file:words}` is not a host name"),
        ("instance_modifier: ${file:words}", "not `${file:words}`"),
        ("connections: { A: '${file:words}' }", "this is not a database URL"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains("not a number"), "{text}: {error}");
    }
    let error = read("identity_providers: { A: '${file:db.password}' }").unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

/// What the types read, the schema describes: every key of the template is in it, with words that say what it is.
#[test]
fn the_schema_knows_every_setting() {
    let schema = Config::schema();
    let template = include_str!("../../../../policies/gateway.template.yaml");
    let sections = schema["properties"].as_object().unwrap();
    for line in template
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
    {
        let key = line.split(':').next().unwrap();
        assert!(sections.contains_key(key), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
    fn described(schema: &serde_json::Value, at: &str, count: &mut usize) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].as_str().is_some_and(|text| text.len() > 3), "{at}.{name} says nothing");
            *count += 1;
        }
        for (name, inner) in schema["$defs"].as_object().into_iter().flatten() {
            described(inner, name, count);
        }
    }
    let mut count = 0;
    described(&schema, "", &mut count);
    assert!(count > 90, "{count}");
}
