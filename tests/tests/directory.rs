//! The identity provider `ldap` with a real OpenLDAP server, started here if `slapd` is installed (or `PORTCULLIS_TEST_SLAPD`
//! says where it is). Without one nothing is tested, and the suite says so.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use portcullis::Config;
use portcullis::identity::{Answer, IdentityProvider, Inquiry, Ldap};
use portcullis::{Blame, Fault};
use portcullis::{Case, Lab};
use portcullis::{Credential, Secret, User};
use portcullis_tests::block_on;
use portcullis_tests::directory::{Directory, slapd};

const ENTRIES: &str = "\
dn: dc=example
objectClass: domain
dc: example

dn: cn=gateway,dc=example
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: gateway
userPassword: search-password

dn: ou=people,dc=example
objectClass: organizationalUnit
ou: people

dn: ou=guests,ou=people,dc=example
objectClass: organizationalUnit
ou: guests

dn: uid=ann,ou=people,dc=example
objectClass: inetOrgPerson
objectClass: otherAccount
uid: ann
cn: Ann Lee
sn: Lee
givenName: Ann
mail: ann@example.com
mail: lee@example.com
employeeType: admin
manager: cn=Team\\, Blue,ou=groups,dc=example
telephoneNumber: +31 20 555 1234
postalAddress: Main Street 1
preferredLanguage: nl-NL
sAMAccountName: ANNLEE
userAccountControl: 512
userPassword: correct horse
pwdChangedTime: 20260102030405Z

dn: uid=zoe,ou=people,dc=example
objectClass: inetOrgPerson
uid:: em/Dqw==
uid: zoe
cn: Zoe
sn: Zoe
userPassword: zoe-password

dn: uid=twin,ou=people,dc=example
objectClass: inetOrgPerson
uid: twin
cn: Twin
sn: One
userPassword: twin-password

dn: uid=twin,ou=guests,ou=people,dc=example
objectClass: inetOrgPerson
uid: twin
cn: Twin
sn: Two
userPassword: twin-password

dn: uid=paul (*),ou=people,dc=example
objectClass: inetOrgPerson
uid: paul (*)
cn: Paul
sn: Paul
userPassword: paul-password

dn: uid=off,ou=people,dc=example
objectClass: inetOrgPerson
objectClass: otherAccount
uid: off
cn: Off
sn: Off
userAccountControl: 514
userPassword: off-password

dn: uid=inactive,ou=people,dc=example
objectClass: inetOrgPerson
objectClass: otherAccount
uid: inactive
cn: Inactive
sn: Inactive
nsAccountLock: TRUE
userPassword: inactive-password

dn: uid=locked,ou=people,dc=example
objectClass: inetOrgPerson
uid: locked
cn: Locked
sn: Locked
userPassword: locked-password
pwdAccountLockedTime: 000001010000Z

dn: uid=bare,ou=people,dc=example
objectClass: inetOrgPerson
uid: bare
cn: Bare
sn: Bare

dn: ou=groups,dc=example
objectClass: organizationalUnit
ou: groups

dn: cn=staff,ou=groups,dc=example
objectClass: groupOfNames
cn: staff
member: uid=ann,ou=people,dc=example
member: uid=paul (*),ou=people,dc=example

dn: cn=admins,ou=groups,dc=example
objectClass: groupOfNames
cn: admins
member: uid=ann,ou=people,dc=example
";

/// The gateway's settings for the directory, with additional or different lines.
fn settings(directory: &Directory, extra: &str) -> String {
    let url = format!("ldaps://localhost:{}", directory.secure);
    let defaults = [
        ("url", url.as_str()),
        ("trusted", &format!("[{}]", directory.path("ca.pem").display())),
        ("base", "'ou=people,dc=example'"),
        ("bind_dn", "'cn=gateway,dc=example'"),
        ("bind_password_file", &directory.path("password").display().to_string()),
        ("timeout", "3s"),
        ("connect_timeout", "3s"),
    ];
    let mut text = String::from("identity_providers:\n  Staff:\n    type: ldap\n");
    for (key, value) in defaults {
        if !extra.lines().any(|line| line.starts_with(&format!("{key}:"))) {
            text.push_str(&format!("    {key}: {value}\n"));
        }
    }
    extra.lines().filter(|line| !line.ends_with(": none")).for_each(|line| text.push_str(&format!("    {line}\n")));
    text
}

struct Staff(Ldap);

impl Staff {
    fn new(directory: &Directory, extra: &str) -> Staff {
        let text = settings(directory, extra);
        let config = Config::read([("gateway.yaml", text.as_str())]).unwrap_or_else(|error| panic!("{error}"));
        Staff(Ldap::open("Staff", &config.identity_providers["Staff"], Path::new("/")).unwrap_or_else(|fault| panic!("{fault}")))
    }

    async fn ask(&self, name: &str, password: &str) -> Result<Option<User>, Fault> {
        let credential = Credential::Password { user: name.into(), password: Secret::new(password) };
        let inquiry = Inquiry { now_millis: 0, caller: [127, 0, 0, 1].into() };
        match self.0.authenticate(&credential, &inquiry).await? {
            Answer::User(user) => Ok(Some(user)),
            Answer::Nobody => Ok(None),
            Answer::Busy => panic!("nobody else asks"),
        }
    }

    async fn login(&self, name: &str, password: &str) -> Option<User> {
        self.ask(name, password).await.unwrap_or_else(|fault| panic!("{name}: {fault}"))
    }

    async fn user(&self, name: &str) -> Option<User> {
        self.0.user(name).await.unwrap_or_else(|fault| panic!("{name}: {fault}"))
    }

    async fn fault(&self) -> Fault {
        let fault = self.ask("ann", "correct horse").await.expect_err("a fault");
        for secret in ["correct horse", "search-password", "wrong-password"] {
            assert!(!format!("{fault} {fault:?}").contains(secret), "{fault:?}");
        }
        fault
    }
}

fn directory() -> Directory {
    let program = slapd().expect("slapd");
    let directory = Directory::start(&program, ENTRIES).unwrap_or_else(|error| panic!("{error:#}"));
    std::fs::write(directory.path("password"), "search-password\n").expect("a file");
    directory
}

async fn only_the_right_password_of_a_known_user(directory: Directory) {
    let staff = Staff::new(&directory, "");
    let ann = staff.login("ann", "correct horse").await.expect("ann");
    assert_eq!((ann.name.as_str(), ann.provider.as_str()), ("ann", "Staff"));
    assert_eq!(staff.login("ANN", "correct horse").await.expect("ann").name, "ann", "as the directory spells it");
    for (name, password) in [
        ("ann", "wrong"),
        ("ann", "correct horse "),
        ("ann", ""),
        ("nobody", "correct horse"),
        ("nobody", ""),
        ("", ""),
        ("bare", "x"),
        ("bare", ""),
        // These would match if they were filters.
        ("*", "correct horse"),
        ("an*", "correct horse"),
        ("*)(uid=*", "correct horse"),
        ("ann)(objectClass=*", "correct horse"),
        ("ann)(|(uid=*", "correct horse"),
        ("\\61nn", "correct horse"),
        ("paul (*)", "wrong"),
        ("uid=ann,ou=people,dc=example", "correct horse"),
        // The directory treats these as equal to `ann` and `zoe`.
        ("a\u{ad}nn", "correct horse"),
        ("ａnn", "correct horse"),
        (" ann", "correct horse"),
        // Two users of that name, with the same password.
        ("twin", "twin-password"),
        // Locked accounts.
        ("off", "off-password"),
        ("inactive", "inactive-password"),
        ("locked", "locked-password"),
    ] {
        assert!(staff.login(name, password).await.is_none(), "{name:?} {password:?}");
    }
    assert!(staff.login("ann", &"x".repeat(2000)).await.is_none());
    assert_eq!(staff.login("paul (*)", "paul-password").await.expect("paul").name, "paul (*)");
    assert!(staff.login("zoë", "zoe-password").await.is_some());
    // Nothing was ever bound with an empty password, which OpenLDAP could be configured to accept.
    let log = directory.log();
    assert!(log.contains("BIND dn=\"uid=ann,ou=people,dc=example\" method=128"), "{log}");
    assert!(!log.contains("unauthenticated bind"), "{log}");
}

async fn attributes_are_those_of_policies(directory: Directory) {
    let staff = Staff::new(
        &directory,
        "role_attribute: employeeType\ngroup_base: 'ou=groups,dc=example'\nattributes: { windows: sAMAccountName }",
    );
    let ann = staff.login("ann", "correct horse").await.expect("ann");
    let text = |user: &User, name: &str| user.attributes.get(name).map(|value| value.as_text().into_owned());
    for (name, value) in [
        ("given_name", "Ann"),
        ("family_name", "Lee"),
        ("role", "admin"),
        ("windows", "ANNLEE"),
        ("dn", "uid=ann,ou=people,dc=example"),
        ("password_changed", "1767323045"),
    ] {
        assert_eq!(text(&ann, name).as_deref(), Some(value), "{name}: {ann:?}");
    }
    let list = |user: &User, name: &str| -> Vec<String> {
        user.attributes[name].values().iter().map(|value| value.as_text().into_owned()).collect()
    };
    assert_eq!(list(&ann, "email"), ["ann@example.com", "lee@example.com"]);
    assert_eq!(list(&ann, "groups"), ["staff", "admins"]);
    assert_eq!(list(&staff.login("paul (*)", "paul-password").await.expect("paul"), "groups"), ["staff"]);
    assert!(list(&staff.login("zoe", "zoe-password").await.expect("zoe"), "groups").is_empty());
    assert!(ann.id.len() == 36, "an entryUUID: {}", ann.id);
    for name in ["nobody", "twin", "*", ""] {
        assert!(staff.user(name).await.is_none(), "{name}");
    }
    for name in ["off", "inactive", "locked"] {
        assert!(!staff.user(name).await.expect(name).enabled, "{name}");
    }
    let known = staff.user("ann").await.expect("ann");
    assert!(known.enabled);
    assert_eq!((known.id.clone(), list(&known, "groups").len()), (ann.id, 2));
    // By Windows name or e-mail address; the user is the same.
    let other = "name_attribute: sAMAccountName\nrole_attribute: manager\nid_attribute: cn\n\
        filter: '(&(objectClass=inetOrgPerson)(|(sAMAccountName={})(mail={})))'\ngroup_base: 'ou=groups,dc=example'\n\
        group_filter: '(&(member={dn})(cn=adm*))'";
    let other = Staff::new(&directory, other);
    for name in ["annlee", "lee@example.com"] {
        let ann = other.login(name, "correct horse").await.expect(name);
        assert_eq!((ann.name.as_str(), ann.id.as_str()), ("ANNLEE", "Ann Lee"), "{ann:?}");
        assert_eq!(text(&ann, "role").as_deref(), Some("Team, Blue"), "{ann:?}");
        assert_eq!(list(&ann, "groups"), ["admins"]);
    }
    assert!(other.user("ANNLEE").await.is_some());
    // The directory treats these as the same name, but the user has only one spelling.
    for look_alike in ["annlee", "AnnLee", "\u{ff21}NNLEE"] {
        assert!(other.user(look_alike).await.is_none(), "{look_alike}");
    }
    assert!(other.user("lee@example.com").await.is_none(), "names are looked up, and this is only a way to type one");
    let narrow = Staff::new(&directory, "scope: one\nfilter: '(&(employeeType=admin)(uid={}))'");
    assert!(narrow.login("ann", "correct horse").await.is_some() && narrow.user("ann").await.is_some());
    assert!(narrow.login("zoe", "zoe-password").await.is_none() && narrow.user("zoe").await.is_none());
    // Only one of them is directly below the base.
    assert!(Staff::new(&directory, "scope: one").login("twin", "twin-password").await.is_some());
}

async fn only_the_right_server_is_asked(directory: Directory) {
    let secure = directory.secure;
    let plain = directory.plain;
    let other = directory.path("other-ca.pem");
    for (extra, part) in [
        (format!("trusted: [{}]", other.display()), "certificate"),
        ("trusted: []".to_owned(), "certificate"),
        (format!("url: ldaps://127.0.0.1:{secure}"), "certificate"),
        (format!("url: ldap://localhost:{plain}\nstart_tls: true\ntrusted: [{}]", other.display()), "certificate"),
        (format!("url: ldap://127.0.0.1:{plain}\nstart_tls: true"), "certificate"),
    ] {
        let fault = Staff::new(&directory, &extra).fault().await;
        assert!(fault.blame == Blame::Upstream && fault.to_string().contains(part), "{extra}: {fault}");
    }
    let log = directory.log();
    assert!(!log.contains("BIND"), "nothing was said to a server that is not the right one:\n{log}");
    for extra in [format!("url: ldap://localhost:{plain}\nstart_tls: true"), format!("url: ldap://127.0.0.1:{plain}")] {
        assert!(Staff::new(&directory, &extra).login("ann", "correct horse").await.is_some(), "{extra}");
    }
    assert!(directory.log().contains("TLS established"), "{}", directory.log());
}

async fn what_cannot_work_is_a_fault(directory: Directory) {
    std::fs::write(directory.path("wrong"), "wrong-password\n").expect("a file");
    for (extra, part) in [
        (format!("bind_password_file: {}", directory.path("wrong").display()), "refuses `cn=gateway,dc=example`"),
        ("base: 'ou=nowhere,dc=example'".to_owned(), "there is no `ou=nowhere,dc=example`"),
        // Nobody may search here.
        ("bind_dn: none\nbind_password_file: none".to_owned(), "anonymous may not search: "),
        ("name_attribute: sAMAccountNam\nfilter: '(uid={})'".to_owned(), "has no `sAMAccountNam`"),
    ] {
        let fault = Staff::new(&directory, &extra).fault().await;
        assert!(fault.blame == Blame::Configuration && fault.to_string().contains(part), "{extra}: {fault}");
    }
}

async fn a_directory_that_is_down_is_a_fault_until_it_is_up(mut directory: Directory) {
    let staff = Staff::new(&directory, "");
    assert!(staff.login("ann", "correct horse").await.is_some());
    directory.stop();
    for _ in 0..3 {
        let fault = staff.fault().await;
        assert_eq!(fault.blame, Blame::Upstream, "{fault}");
        assert!(fault.to_string().contains("`Staff`"), "{fault}");
    }
    assert!(staff.0.user("ann").await.is_err());
    directory.resume().expect("a start");
    assert!(staff.login("ann", "correct horse").await.is_some());
    // And at once if idle connections died unnoticed.
    directory.stop();
    directory.resume().expect("a start");
    assert!(staff.login("ann", "correct horse").await.is_some());
    assert!(staff.login("ann", "wrong").await.is_none());
}

async fn a_directory_that_does_not_answer_is_a_fault_in_time(directory: Directory) {
    // Accepts, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    for extra in ["timeout: 300ms\nconnect_timeout: 300ms", "timeout: 300ms\nconnect_timeout: 300ms\nstart_tls: true"] {
        let scheme = if extra.contains("start_tls") { "ldap" } else { "ldaps" };
        let staff = Staff::new(&directory, &format!("url: {scheme}://localhost:{port}\n{extra}"));
        let begun = std::time::Instant::now();
        let fault = staff.fault().await;
        assert!(fault.blame == Blame::Upstream && begun.elapsed().as_millis() < 2000, "{fault}");
    }
    let staff = Staff::new(&directory, &format!("url: ldap://127.0.0.1:{port}\ntimeout: 300ms"));
    assert!(staff.fault().await.to_string().contains("no answer within"));
}

async fn many_at_once_get_each_their_own_answer(directory: Directory) {
    let staff = Arc::new(Staff::new(&directory, "pool_size: 3"));
    let attempt = |index: usize| {
        let staff = Arc::clone(&staff);
        let (name, password) = [("ann", "correct horse"), ("zoe", "zoe-password"), ("ann", "zoe-password")][index % 3];
        tokio::spawn(async move { (index, staff.login(name, password).await.map(|user| user.name)) })
    };
    for round in 0..5 {
        let attempts: Vec<_> = (0..15).map(attempt).collect();
        for attempt in attempts {
            let (index, name) = attempt.await.expect("no panic");
            assert_eq!(name.as_deref(), [Some("ann"), Some("zoe"), None][index % 3], "round {round}");
        }
    }
    // A caller that gives up waiting leaves no answer behind for the next one.
    for _ in 0..20 {
        let given_up = tokio::time::timeout(std::time::Duration::from_micros(700), staff.login("ann", "correct horse"));
        let _ = given_up.await;
        assert!(staff.login("zoe", "correct horse").await.is_none());
    }
}

/// The complete path: the providers of a customization, the login page and the password grant.
fn users_of_a_directory_log_in(directory: &Directory, lab: &Lab) -> Result<(), Failed> {
    run(include_str!("directory.case"), &settings(directory, "group_base: 'ou=groups,dc=example'"), lab)
}

/// The attributes of the directory in id_tokens and at userinfo.
fn clients_learn_what_the_directory_says(directory: &Directory, lab: &Lab) -> Result<(), Failed> {
    let mapping = "attributes: { phone_number: telephoneNumber, address: postalAddress, locale: preferredLanguage, email_verified: employeeType }";
    run(include_str!("directory-claims.case"), &settings(directory, mapping), lab)
}

fn run(case: &str, settings: &str, lab: &Lab) -> Result<(), Failed> {
    let case = case.replace("{SETTINGS}", settings.trim_end());
    let case = Case::parse(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/directory.case"), &case)
        .map_err(|failure| failure.to_string())?;
    lab.run(&case).map_err(|failure| failure.to_string().into())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = slapd().is_none();
    if missing {
        eprintln!("SKIPPED: there is no slapd here (Debian: apt install slapd), so nothing is tested with a real directory");
    }
    macro_rules! trials {
        ($($name:ident),* $(,)?) => {
            vec![$(Trial::test(stringify!($name), || {
                block_on($name(directory()));
                Ok(())
            }).with_ignored_flag(missing)),*]
        };
    }
    let mut trials = trials![
        only_the_right_password_of_a_known_user,
        attributes_are_those_of_policies,
        only_the_right_server_is_asked,
        what_cannot_work_is_a_fault,
        a_directory_that_is_down_is_a_fault_until_it_is_up,
        a_directory_that_does_not_answer_is_a_fault_in_time,
        many_at_once_get_each_their_own_answer,
    ];
    type Look = fn(&Directory, &Lab) -> Result<(), Failed>;
    let cases: [(&str, Look); 2] = [
        ("users_of_a_directory_log_in", users_of_a_directory_log_in),
        ("clients_learn_what_the_directory_says", clients_learn_what_the_directory_says),
    ];
    trials.extend(cases.map(|(name, case)| {
        let trial = Trial::test(name, move || {
            let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            let lab = block_on(Lab::new(Some(&checkout), None))?;
            case(&directory(), &lab)
        });
        trial.with_ignored_flag(missing)
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}
