use super::*;
use crate::services::config::ConfigErrors;

fn checked(extra: &str) -> Result<crate::services::config::Config, ConfigErrors> {
    let text = format!("identity_providers:\n  Staff:\n    type: ldap\n{extra}");
    crate::services::config::Config::read([("gateway.yaml", text.as_str())])
}

#[test]
fn an_incomplete_directory_is_refused_where_it_stands() {
    let base = "    base: ou=people,dc=example\n";
    for (extra, line, part) in [
        ("", 3, "needs a `url`"),
        ("    url: ldaps://d.example\n", 2, "needs a `base`"),
        ("    base: ' '\n    url: ldaps://d.example\n", 4, "needs a `base`"),
        ("    url: d.example\n    base: o=x\n", 4, "is not an address such as ldaps"),
        ("    url: http://d.example\n    base: o=x\n", 4, "is not an address such as ldaps"),
        ("    url: ldaps://u:p@d.example\n    base: o=x\n", 4, "only scheme, host and port"),
        ("    url: ldaps://d.example/dc=x\n    base: o=x\n", 4, "only scheme, host and port"),
        ("    url: ldap://d.example\n    base: o=x\n", 4, "unencrypted to d.example"),
        ("    url: ldaps://d.example\n    base: o=x\n    start_tls: true\n", 6, "`start_tls` is for ldap://"),
        ("    url: ldaps://d.example\n    base: o=x\n    filter: (uid=ann)\n", 6, "needs `{}`"),
        ("    url: ldaps://d.example\n    base: o=x\n    filter: '(uid={}'\n", 6, "not a search filter"),
        ("    url: ldaps://d.example\n    base: o=x\n    group_filter: '(member={dn})'\n", 6, "needs a `group_base`"),
        ("    url: ldaps://d.example\n    base: o=x\n    bind_dn: cn=x\n", 6, "needs a `bind_password_file`"),
        ("    url: ldaps://d.example\n    base: o=x\n    name_attribute: 'a)(b'\n", 6, "not the name of an attribute"),
        ("    url: ldaps://d.example\n    base: o=x\n    pool_size: 0\n", 6, "1 or more"),
    ] {
        let error = checked(extra).expect_err(extra).0.remove(0);
        assert!(error.message.contains(part) && error.message.contains("`Staff`"), "{extra}: {error}");
        assert_eq!(error.place.map(|(line, _)| line), Some(line), "{extra}: {error}");
    }
    for address in
        ["ldaps://d.example", "ldap://127.0.0.1:389", "ldap://[::1]", "ldap://localhost", "ldap://d.example\n    start_tls: true"]
    {
        checked(&format!("{base}    url: {address}\n")).unwrap_or_else(|error| panic!("{error}"));
    }
    checked(&format!("{base}    url: ldap://d.example\n    allow_plaintext: true\n")).unwrap();
}

#[test]
fn files_are_read_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let config = checked("    url: ldaps://d.example\n    base: o=x\n    bind_dn: cn=x\n    bind_password_file: p\n").unwrap();
    let open = || Ldap::open("Staff", &config.identity_providers["Staff"], home.path());
    let error = open().err().unwrap().to_string();
    assert!(error.contains("`Staff`") && error.contains("/p:"), "{error}");
    std::fs::write(home.path().join("p"), "\nx").unwrap();
    assert!(open().err().unwrap().to_string().contains("is empty"));
    std::fs::write(home.path().join("p"), "secret\n").unwrap();
    assert!(open().is_ok());
    let config = checked("    url: ldaps://d.example\n    base: o=x\n    trusted: [none.pem]\n").unwrap();
    let error = Ldap::open("Staff", &config.identity_providers["Staff"], home.path()).err().unwrap().to_string();
    assert!(error.contains("none.pem"), "{error}");
}

#[test]
fn names_fill_filters_once() {
    assert_eq!(fill("(&(uid={})(x={dn}))", "{dn}", "{}"), "(&(uid={dn})(x={}))");
    assert_eq!(fill("(uid={x)", "a", "b"), "(uid={x)");
    for name in ["", " ann", "ann ", "a  b", "a\0", "a\u{ad}b", "a\tb", "a\u{200b}"] {
        assert!(!is_plain(name), "{name:?}");
    }
    for name in ["ann", "Ann Lee", "zoë", "*)(uid=*", "ann@example.com", "李"] {
        assert!(is_plain(name), "{name:?}");
    }
}
