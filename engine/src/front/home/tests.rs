//! Homes as operators leave them.

use super::*;

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("policies/hello.policy", "service \"Hello\" at \"/hello\" { }\n");
    put("policies/page.html", "<p>");
    put("policies/gateway.defaults.yaml", "connections: { Main: 'sqlite://data/main.db' }\n");
    put("policies/gateway.template.yaml", "# host_name: localhost\n");
    put("fragments/a.policy", "fragment \"A\" { include \"#A\" }\n");
    put("customizations/#a.policy", "customize \"A\" { }\n");
    put("customizations/more/b.policy", "extension \"B\" { }\n");
    dir
}

fn paths(sources: &Sources) -> Vec<&str> {
    sources.files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn init_makes_a_home_and_never_overwrites() {
    let (tree, dir) = (tree(), tempfile::tempdir().unwrap());
    let home = Home::at(dir.path().join("new/home"), Some(tree.path()));
    assert!(home.is_new());
    let made = home.init().unwrap();
    for path in ["gateway.yaml", "keys/", "data/", "services/", "customizations/#a.policy", "customizations/more/b.policy"] {
        assert!(made.iter().any(|made| made == path), "{path} in {made:?}");
    }
    assert!(!home.is_new());
    fs::write(home.path("customizations/#a.policy"), "customize \"A\" { set x = 1 }\n").unwrap();
    fs::remove_file(home.path("customizations/more/b.policy")).unwrap();
    assert_eq!(home.init().unwrap(), ["customizations/more/b.policy"]);
    assert!(fs::read_to_string(home.path("customizations/#a.policy")).unwrap().contains("set x"));
    assert_eq!(home.config().unwrap().connections["Main"].url, "sqlite://data/main.db");
}

#[test]
fn own_customizations_take_the_place_of_shipped_ones() {
    let (tree, dir) = (tree(), tempfile::tempdir().unwrap());
    let home = Home::at(dir.path(), Some(tree.path()));
    let all = ["customizations/#a.policy", "customizations/more/b.policy", "fragments/a.policy", "policies/hello.policy"];
    let mut found = paths(&home.sources().unwrap()).iter().map(|path| path.to_string()).collect::<Vec<_>>();
    found.sort();
    assert_eq!(found, all);

    fs::create_dir_all(home.path("customizations/deep/er")).unwrap();
    fs::write(home.path("customizations/deep/er/renamed.policy"), "// mine\nextension \"B\" { set y = 2 }\n").unwrap();
    fs::write(home.path("customizations/.x.policy.swp"), [0, 159, 146]).unwrap();
    fs::write(home.path("customizations/x.policy~"), "nonsense").unwrap();
    fs::write(home.path("customizations/logo.png"), [0, 159, 146, 150]).unwrap();
    fs::create_dir_all(home.path("services")).unwrap();
    fs::write(home.path("services/own.policy"), "service \"Own\" at \"/own\" { }\n").unwrap();
    let sources = home.sources().unwrap();
    let found = paths(&sources);
    assert!(found.contains(&"customizations/#a.policy"));
    assert!(found.contains(&"customizations/deep/er/renamed.policy"));
    assert!(!found.contains(&"customizations/more/b.policy"));
    assert!(!found.iter().any(|path| path.contains("x.policy")));
    let origin = |path: &str| sources.files.iter().find(|file| file.path == path).unwrap().origin;
    assert_eq!(origin("services/own.policy"), Origin::Operator);
    assert_eq!(origin("customizations/#a.policy"), Origin::Customization);
    assert_eq!(origin("policies/hello.policy"), Origin::Shipped);
    assert_eq!(sources.data.keys().collect::<Vec<_>>(), ["policies/page.html"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let (tree, dir) = (tree(), tempfile::tempdir().unwrap());
    let home = Home::at(dir.path(), Some(tree.path()));
    let folder = home.path("customizations");
    fs::create_dir_all(folder.join("a.policy")).unwrap();
    fs::write(folder.join("b.policy"), vec![b'x'; 10 << 20]).unwrap();
    fs::write(folder.join("c.policy"), [b'a', b'\n', 0xff, 0xfe]).unwrap();
    fs::write(folder.join("d.policy"), "ok\0").unwrap();
    let problems = home.sources().unwrap_err();
    let said: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(said.len(), 4, "{said:?}");
    for part in [
        "a.policy: it is a directory",
        "b.policy: it is too large (10240 KiB",
        "c.policy: it is not UTF-8 text (line 2)",
        "d.policy: it is binary",
    ] {
        assert!(said.iter().any(|said| said.contains(part)), "{part} in {said:?}");
    }
}

#[test]
fn a_directory_that_is_no_home_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    assert!(HomeError::None(dir.path().to_owned()).to_string().contains("portcullis init DIR"));
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Home::at(file.join("x"), None).init().unwrap_err().to_string();
    assert!(error.starts_with("home "), "{error}");
}

#[test]
fn a_home_listens_on_this_machine_only_until_told_otherwise() {
    let (tree, dir) = (tree(), tempfile::tempdir().unwrap());
    let home = Home::at(dir.path(), Some(tree.path()));
    let listeners = |settings: &str| {
        fs::write(home.path(config::FILE), settings).unwrap();
        let config::Listeners { https, http, .. } = home.config().unwrap().listeners;
        [https, http]
            .map(|listener| if let config::ListenAddress::At(address) = listener { address.to_string() } else { "off".into() })
    };
    for samples in ["", "sample_data: true\n", "sample_data: false\n"] {
        let told = |settings: &str| listeners(&format!("{samples}{settings}"));
        assert_eq!(told(""), ["127.0.0.1:8443", "127.0.0.1:8080"]);
        assert_eq!(told("listeners: { https: ':8443' }"), ["0.0.0.0:8443", "127.0.0.1:8080"]);
        assert_eq!(told("listeners: { http: off }"), ["127.0.0.1:8443", "off"]);
    }
}
