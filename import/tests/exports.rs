//! What is read of exports in each format, and of damaged ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

use portcullis_import::releases::table;
use portcullis_import::report::{Steps, html, markdown};
use portcullis_import::{Imported, Input, Options, OutFile, Problem, Shipped, import};

/// Imports files without what only the gateway's checks know.
fn imported(files: &[(&str, &str)]) -> Imported {
    imported_with(files, &Options::default())
}

fn imported_with(files: &[(&str, &str)], options: &Options) -> Imported {
    let inputs: Vec<Input> =
        files.iter().map(|(path, text)| Input { path: (*path).to_owned(), bytes: text.as_bytes().to_vec() }).collect();
    let parses = &mut |files: &[OutFile]| {
        let mut problems = Vec::new();
        for file in files {
            let (_, found) = portcullis_dsl::parse(portcullis_dsl::FileId(0), &file.text);
            problems.extend(found.iter().map(|found| Problem {
                path: file.path.clone(),
                offset: found.span.start as usize,
                text: String::new(),
                code: found.code.to_owned(),
                message: found.message.clone(),
                warning: false,
            }));
        }
        problems
    };
    let made = import(&inputs, &Shipped::default(), options, parses);
    assert!(made.report.steps.balance(), "{:?}", made.report.steps);
    assert_eq!(made.errors, [], "{:#?}", made.files);
    made
}

fn text<'m>(made: &'m Imported, path: &str) -> &'m str {
    let file = made.files.iter().find(|file| file.path == path);
    file.map_or_else(|| panic!("no {path} in {:?}", made.report.files), |file| &file.text)
}

fn says(made: &Imported, what: &str) {
    assert!(made.report.findings.iter().any(|told| told.message.contains(what)), "{}", markdown(&made.report));
}

const HEAD: &str = r#"<wsp:Policy xmlns:L7p="http://www.layer7tech.com/ws/policy" xmlns:wsp="http://schemas.xmlsoap.org/ws/2002/12/policy"><wsp:All wsp:Usage="Required">"#;

fn policy(steps: &str) -> String {
    format!("{HEAD}{steps}</wsp:All></wsp:Policy>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn item(name: &str, policy: &str) -> String {
    format!(
        "<l7:Item><l7:Name>{name}</l7:Name><l7:Id>{name}</l7:Id><l7:Type>POLICY</l7:Type><l7:Resource><l7:Policy guid=\"g-{name}\" \
         id=\"{name}\"><l7:PolicyDetail guid=\"g-{name}\" id=\"{name}\"><l7:Name>{name}</l7:Name><l7:PolicyType>Include</l7:PolicyType>\
         </l7:PolicyDetail><l7:Resources><l7:ResourceSet tag=\"policy\"><l7:Resource type=\"policy\">{}</l7:Resource></l7:ResourceSet>\
         </l7:Resources></l7:Policy></l7:Resource></l7:Item>\n",
        escaped(policy)
    )
}

fn bundle(items: &str) -> String {
    format!(
        "<l7:Bundle xmlns:l7=\"http://ns.l7tech.com/2010/04/gateway-management\"><l7:References>\n{items}</l7:References></l7:Bundle>"
    )
}

const SET: &str = r#"<L7p:SetVariable><L7p:Expression stringValue="a"/><L7p:VariableToSet stringValue="x"/></L7p:SetVariable>"#;

#[test]
fn comments_stay_on_their_side_and_what_is_off_translates_back() {
    let comment = |side: &str, text: &str| {
        format!(r#"<L7p:entry><L7p:key stringValue="{side}.COMMENT"/><L7p:value stringValue="{text}"/></L7p:entry>"#)
    };
    let with = format!(
        r#"<L7p:SetVariable><L7p:AssertionComment assertionComment="included"><L7p:Properties mapValue="included">{}{}</L7p:Properties></L7p:AssertionComment><L7p:Expression stringValue="b"/><L7p:VariableToSet stringValue="y"/></L7p:SetVariable>"#,
        comment("LEFT", "before"),
        comment("RIGHT", "behind")
    );
    let off = SET.replace("<L7p:Expression", "<L7p:Enabled booleanValue=\"false\"/><L7p:Expression");
    let group = format!(
        r#"<wsp:OneOrMore wsp:Usage="Required">{SET}<L7p:FalseAssertion/><L7p:assertionComment><L7p:Properties mapValue="included">{}</L7p:Properties></L7p:assertionComment></wsp:OneOrMore>"#,
        comment("RIGHT", "or else")
    );
    let made = imported(&[("a.xml", &bundle(&item("A", &policy(&format!("{with}{off}{group}")))))]);
    let expected = "// exported as g-A\nfragment \"A\" {\n    // before\n    set y = \"b\" // behind\n    // switched off:\n    // set x = \"a\"\n    AtLeastOne \
                    \"or else\" {\n        set x = \"a\"\n        Stop\n    }\n}\n";
    assert_eq!(text(&made, "services/A.policy"), expected);
    let steps = Steps { read: 5, exact: 4, disabled: 1, ..Steps::default() };
    assert_eq!(made.report.steps, steps);
}

#[test]
fn a_step_without_translation_is_kept_beside_its_statement() {
    let made = imported(&[(
        "a.xml",
        &bundle(&item(
            "A",
            &policy(r#"<L7p:Teleport><L7p:Where stringValue="far"/><L7p:OutputVariable stringValue="out"/></L7p:Teleport>"#),
        )),
    )]);
    let text = text(&made, "services/A.policy");
    assert!(text.contains("// original: Teleport\n") && text.contains("//   where: far\n"), "{text}");
    assert!(text.contains("Unsupported(step: \"Teleport\"") && text.contains("sets: [\"out\"]"), "{text}");
    assert_eq!(made.report.steps.missing, 1);
}

#[test]
fn a_policy_as_json_yaml_or_code_is_the_same() {
    let json = r#"{"All":[{"SetVariable":{"expression":"a ${b}","variable":"x"},".properties":{".left.comment":"why"}},{"Comment":"note"},{"HandleErrors":{"variablePrefix":"h",".children":[{"True":{}}]}},{"False":{},".properties":{".enabled":false}}]}"#;
    let yaml = "All:\n- SetVariable:\n    expression: a ${b}\n    variable: x\n  .properties:\n    .left.comment: why\n- Comment: note\n- HandleErrors:\n    variablePrefix: h\n    .children:\n    - 'True': {}\n- 'False': {}\n  .properties:\n    .enabled: false\n";
    let entity = |form: &str, policy: &str| {
        format!(r#"{{"policyFragments":[{{"name":"A","guid":"g","folderPath":"/F/G","policy":{{"{form}":{policy}}}}}]}}"#)
    };
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let all = [
        imported(&[("a.json", &entity("json", &quoted(json)))]),
        imported(&[("a.json", &entity("yaml", &quoted(yaml)))]),
        imported(&[("a.json", &entity("code", json))]),
        imported(&[
            ("f/A.fragment.json", r#"{"name":"A","guid":"g","folderPath":"/F/G","policy":{"yaml":"{A.policy.yaml}"}}"#),
            ("f/A.policy.yaml", yaml),
        ]),
    ];
    for (n, made) in all.iter().enumerate() {
        let text = text(made, "services/F/G/A.policy");
        for part in [
            "    // why\n    set x = \"a ${b}\"\n",
            "    // note\n",
            "HandleErrors \"h\" { Continue }",
            "    // switched off:\n    // Stop\n",
        ] {
            assert!(text.contains(part), "{n}: {part}: {text}");
        }
    }
}

#[test]
fn a_project_of_the_plug_in_is_read() {
    let made = imported(&[
        ("p/config/services.yml", "api/hello:\n  url: /hello/*\n  httpMethods: [GET]\n"),
        (
            "p/config/encass.yml",
            "parts/Greet:\n  policy: parts/greet.xml\n  arguments:\n  - {name: who, type: string, requireExplicit: true}\n  results:\n  - {name: said, type: string}\n",
        ),
        ("p/config/static.properties", "limit=5\n"),
        (
            "p/policy/api/hello.xml",
            &policy(
                r#"<L7p:Encapsulated><L7p:EncapsulatedAssertionConfigName encassName="parts/Greet"/><L7p:Parameters mapValue="included"><L7p:entry><L7p:key stringValue="who"/><L7p:value stringValue="me"/></L7p:entry></L7p:Parameters></L7p:Encapsulated>"#,
            ),
        ),
        (
            "p/policy/parts/greet.xml",
            &policy(
                r#"<L7p:SetVariable><L7p:Expression stringValue="hi ${who}"/><L7p:VariableToSet stringValue="said"/></L7p:SetVariable>"#,
            ),
        ),
    ]);
    assert!(text(&made, "services/api/hello.policy").contains("\"Greet\" (who: \"me\")"));
    assert!(text(&made, "services/parts/Greet.policy").contains("assertion \"Greet\" (in who?, out said)"));
    assert!(text(&made, "gateway.yaml").contains("\"limit\": \"5\""));
}

#[test]
fn damaged_input_costs_only_itself() {
    // Cut off in the middle of the second item.
    let whole = bundle(&(item("A", &policy(SET)) + &item("B", &policy(SET))));
    let cut = &whole[..whole.rfind("</l7:Resource>").unwrap()];
    let made = imported(&[("cut.xml", cut), ("good.xml", &bundle(&item("C", &policy(SET))))]);
    assert!(text(&made, "services/A.policy").contains("set x = \"a\"") && text(&made, "services/C.policy").contains("set x"));
    says(&made, "this item has no end");
    // A policy that is not XML, in a bundle that is.
    let made = imported(&[("a.xml", &bundle(&(item("A", "<wsp:Policy><broken") + &item("B", &policy(SET)))))]);
    assert!(text(&made, "services/A.policy").contains("Unsupported(step: \"policy\""));
    assert!(text(&made, "services/B.policy").contains("set x = \"a\""));
    says(&made, "not well-formed XML");
    // Entities that could make a text of gigabytes, and levels without end.
    let bomb = "<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><a>&b;</a>";
    let deep = "<a>".repeat(100_000);
    let made = imported(&[("bomb.xml", bomb), ("deep.xml", &deep), ("json.json", "{\"policies\": [{"), ("text.txt", "hello")]);
    for part in ["not well-formed XML", "nested deeper", "not JSON", "this is no export"] {
        says(&made, part);
    }
    // Base64 with wrong padding is read; what is none is reported.
    let step = |text: &str| {
        format!(
            r#"<L7p:SetVariable><L7p:Base64Expression stringValue="{text}"/><L7p:VariableToSet stringValue="x"/></L7p:SetVariable>"#
        )
    };
    let made = imported(&[("a.xml", &bundle(&item("A", &policy(&(step("YWI==") + &step("%%"))))))]);
    assert!(text(&made, "services/A.policy").contains("set x = \"ab\""));
    says(&made, "not Base64");
}

#[test]
fn names_and_mappings_decide_what_is_called_how() {
    let mapping = "<l7:Mappings><l7:Mapping action=\"NewOrUpdate\" srcId=\"A\" type=\"POLICY\"><l7:Properties><l7:Property key=\"MapBy\">\
                   <l7:StringValue>name</l7:StringValue></l7:Property><l7:Property key=\"MapTo\"><l7:StringValue>Z</l7:StringValue></l7:Property>\
                   </l7:Properties></l7:Mapping><l7:Mapping action=\"Ignore\" srcId=\"B\" type=\"POLICY\"/></l7:Mappings>";
    let text_of =
        bundle(&(item("A", &policy(SET)) + &item("B", &policy(SET)))).replace("</l7:Bundle>", &format!("{mapping}</l7:Bundle>"));
    let made = imported(&[("a.xml", &text_of)]);
    assert_eq!(made.report.files, ["services/Z.policy"]);
    // The same export again, in another file, is no second policy.
    let one = bundle(&item("A", &policy(SET)));
    assert_eq!(imported(&[("a.xml", &one), ("b.xml", &one)]).report.files, ["services/A.policy"]);
    // Two policies of one name are two.
    let other = one.replace("g-A", "g-other");
    assert_eq!(imported(&[("a.xml", &one), ("b.xml", &other)]).report.files, ["services/A (2).policy", "services/A.policy"]);
}

#[test]
fn any_text_can_be_written() {
    for source in [
        "\u{0}a\u{1}",
        "a\\",
        "\\${x}",
        "\"\"\"",
        "${a|\"}",
        "${a b}",
        "${",
        "line\n   \n\ttab \n",
        "é\u{202e}\u{feff}",
        "$$${x}${y[0]}${z.length}",
        "\\",
    ] {
        let quoted: String = source
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;")
            .replace('\n', "&#10;")
            .replace('\t', "&#9;")
            .replace(['\u{0}', '\u{1}'], "");
        let steps = format!(
            r#"<L7p:SetVariable><L7p:Expression stringValue="{quoted}"/><L7p:VariableToSet stringValue="x"/></L7p:SetVariable><L7p:CommentAssertion><L7p:Comment stringValue="{quoted}"/></L7p:CommentAssertion><L7p:JdbcQuery><L7p:ConnectionName stringValue="c"/><L7p:SqlQuery stringValue="select {quoted}"/></L7p:JdbcQuery>"#
        );
        let made = imported(&[("a.xml", &bundle(&item("A", &policy(&steps))))]);
        assert_eq!(made.report.steps.read, 3, "{source:?}");
    }
}

#[test]
fn what_nobody_changed_since_its_release_is_not_imported() {
    let include = |guid: &str| format!("<L7p:Include><L7p:PolicyGuid stringValue=\"{guid}\"/></L7p:Include>");
    let comment = r#"<L7p:CommentAssertion><L7p:Comment stringValue="by the operator"/></L7p:CommentAssertion>"#;
    let other = SET.replace("stringValue=\"a\"", "stringValue=\"b\"");
    let release = bundle(&(item("Same", &policy(SET)) + &item("Changed", &policy(SET)) + &item("Needed", &policy(SET))));
    let inputs = [Input { path: "release.xml".to_owned(), bytes: release.into_bytes() }];
    let mut options = Options::default();
    options.releases.add(&table(&portcullis_import::read::read(&inputs), "9.9").unwrap()).unwrap();
    let operators = item("Same", &policy(&format!("{comment}{SET}")))
        + &item("Changed", &policy(&other))
        + &item("Needed", &policy(SET))
        + &item("Own", &policy(&include("g-Needed")));
    let made = imported_with(&[("a.xml", &bundle(&operators))], &options);
    assert_eq!(made.report.files, ["services/Changed.policy", "services/Needed.policy", "services/Own.policy"]);
    let of = |name: &str| made.report.policies.iter().find(|policy| policy.name == name).unwrap();
    assert_eq!((of("Same").release.as_str(), of("Same").steps.shipped), ("9.9, unchanged", 2));
    assert_eq!((of("Changed").release.as_str(), of("Own").release.as_str()), ("9.9, changed", ""));
    says(&made, "differs from that of 9.9");
    for text in [markdown(&made.report), html(&made.report)] {
        assert!(text.contains("unchanged since release 9.9") && text.contains("9.9, changed"), "{text}");
    }
    // Without the table all of them are the operator's.
    assert_eq!(imported(&[("a.xml", &bundle(&operators))]).report.files.len(), 4);
}

#[test]
fn what_an_export_lacks_is_named_where_it_is_missed() {
    let include = r#"<L7p:Include><L7p:PolicyGuid stringValue="gone"/></L7p:Include>"#;
    let call = r#"<L7p:Encapsulated><L7p:EncapsulatedAssertionConfigGuid stringValue="gone-too"/><L7p:EncapsulatedAssertionConfigName stringValue="Helper"/></L7p:Encapsulated>"#;
    let encass = "<l7:Item><l7:Name>E</l7:Name><l7:Id>e</l7:Id><l7:Type>ENCAPSULATED_ASSERTION</l7:Type><l7:Resource>\
                  <l7:EncapsulatedAssertion id=\"e\"><l7:Name>E</l7:Name><l7:Guid>ge</l7:Guid><l7:PolicyReference id=\"nowhere\"/>\
                  </l7:EncapsulatedAssertion></l7:Resource></l7:Item>";
    let made = imported(&[("a.xml", &bundle(&(item("A", &policy(&format!("{include}{call}{SET}"))) + encass)))]);
    let own = text(&made, "services/A.policy");
    assert!(own.matches("Unsupported(").count() == 2 && own.contains("set x = \"a\""), "{own}");
    says(&made, "the policy `gone`, which the export lacks");
    says(&made, "the assertion `Helper`");
    assert!(text(&made, "services/E.policy").contains("which the export lacks"), "{:?}", made.files);
}

#[test]
fn odd_exports_are_read_as_far_as_they_go() {
    // Attributes that somebody wrapped at 80 columns, a byte order mark, a policy without steps, one without a name.
    let wrapped = SET.replace("stringValue=\"a\"", "stringValue=\"a\n        b\"");
    let text_of =
        format!("\u{feff}{}", bundle(&(item("A", &policy(&wrapped)) + &item("B", &policy("")) + &item("", &policy(SET)))));
    let made = imported(&[("a.xml", &text_of)]);
    assert!(text(&made, "services/A.policy").contains("set x = \"a"), "{:?}", made.files);
    assert!(text(&made, "services/B.policy").contains("fragment \"B\""));
    assert!(text(&made, "services/unnamed.policy").contains("set x = \"a\""));
    // Folders that hold themselves, or nothing, or are nowhere.
    let folder = |id: &str, above: &str| {
        format!(
            "<l7:Item><l7:Name>{id}</l7:Name><l7:Id>{id}</l7:Id><l7:Type>FOLDER</l7:Type><l7:Resource><l7:Folder folderId=\"{above}\" \
             id=\"{id}\"><l7:Name>{id}</l7:Name></l7:Folder></l7:Resource></l7:Item>"
        )
    };
    let in_folder = item("A", &policy(SET)).replace("<l7:PolicyDetail ", "<l7:PolicyDetail folderId=\"f1\" ");
    let lost = item("B", &policy(SET)).replace("<l7:PolicyDetail ", "<l7:PolicyDetail folderId=\"nowhere\" ");
    let made =
        imported(&[("a.xml", &bundle(&(folder("f1", "f2") + &folder("f2", "f1") + &folder("f3", "") + &in_folder + &lost)))]);
    assert_eq!(made.report.steps.exact, 2, "{:?}", made.report.files);
    // Policies that include each other, or themselves.
    let include = |guid: &str| format!("<L7p:Include><L7p:PolicyGuid stringValue=\"{guid}\"/></L7p:Include>");
    let made = imported(&[(
        "a.xml",
        &bundle(
            &(item("A", &policy(&include("g-B"))) + &item("B", &policy(&include("g-A"))) + &item("C", &policy(&include("g-C")))),
        ),
    )]);
    assert_eq!(made.files.len(), 3);
    // Members of the wrong type, names of the wrong kind, and a second export that is empty.
    let made = imported(&[
        (
            "a.json",
            r#"{"policyFragments": [{"name": 7, "policy": []}, null, {"name": "N", "policy": {"json": "{\"All\": 5}"}}], "webApiServices": {}}"#,
        ),
        ("empty.xml", "<l7:Bundle xmlns:l7=\"http://ns.l7tech.com/2010/04/gateway-management\"/>"),
        ("nothing.json", "{}"),
        ("blank.xml", ""),
        ("bytes.xml", "<a>\u{0}</a>"),
    ]);
    assert!(!made.report.findings.is_empty(), "{}", markdown(&made.report));
}

/// 1,000 policies of 15 steps. How long it takes is for the report of whoever runs it.
#[test]
fn many_policies_are_imported() {
    let steps = SET.repeat(10) + &"<L7p:TrueAssertion/>".repeat(5);
    let all: String = (0..1000).map(|n| item(&format!("P{n}"), &policy(&steps))).collect();
    let begun = std::time::Instant::now();
    let made = imported(&[("a.xml", &bundle(&all))]);
    println!("1000 policies: {:?}", begun.elapsed());
    assert_eq!(made.report.steps.read, 15_000);
    assert_eq!(made.files.len(), 1000);
}

#[test]
fn an_unknown_release_is_said_with_what_to_do() {
    // A table of a release from before, in which the policies were others.
    let old = ["OTK A", "OTK B", "#OTK C"].map(|name| item(name, &policy(""))).concat();
    let table_of = |text: String, release: &str| {
        let inputs = [Input { path: "release.xml".to_owned(), bytes: bundle(&text).into_bytes() }];
        table(&portcullis_import::read::read(&inputs), release).unwrap()
    };
    let mut options = Options { releases: portcullis_import::Releases::none(), ..Options::default() };
    options.releases.add(&table_of(old, "4.0")).unwrap();
    let own = ["OTK A", "OTK B", "#OTK C", "OTK New", "Bank"].map(|name| item(name, &policy(SET))).concat();
    let made = imported_with(&[("a.xml", &bundle(&own))], &options);
    says(&made, "3 differ from what each known release ships under their names, 1 are in no table");
    says(&made, "(known releases: 4.0)");
    says(&made, "probably of a release that the tables do not have");
    says(&made, "--fingerprint RELEASE > RELEASE.yaml");
    let release = |made: &Imported, name: &str| made.report.policies.iter().find(|own| own.name == name).unwrap().release.clone();
    assert_eq!(release(&made, "OTK A"), "unknown");
    assert!(markdown(&made.report).contains("## The release of the toolkit") && html(&made.report).contains("--fingerprint"));
    // With a table of that release, made as the report says, what was changed is told from what was not.
    let shipped = ["OTK A", "#OTK C", "OTK New"].map(|name| item(name, &policy(SET))).concat() + &item("OTK B", &policy(""));
    options.releases.add(&table_of(shipped, "4.6")).unwrap();
    let made = imported_with(&[("a.xml", &bundle(&own))], &options);
    assert_eq!(release(&made, "OTK A"), "4.6, unchanged");
    assert_eq!(release(&made, "OTK B"), "4.0, 4.6, changed");
    assert!(!made.report.findings.iter().any(|told| told.message.contains("probably")), "{}", markdown(&made.report));
    // Without the toolkit there is nothing to say of it.
    let made = imported_with(&[("a.xml", &bundle(&item("Bank", &policy(SET))))], &options);
    assert!(!markdown(&made.report).contains("The release of the toolkit"));
}

/// A scheduled task of a bundle.
fn task(name: &str, cron: &str) -> String {
    format!(
        "<l7:Item><l7:Name>{name}</l7:Name><l7:Id>{name}</l7:Id><l7:Type>SCHEDULED_TASK</l7:Type><l7:Resource><l7:ScheduledTask \
         id=\"{name}\"><l7:Name>{name}</l7:Name><l7:PolicyReference id=\"A\"/><l7:OneNode>true</l7:OneNode><l7:JobType>Recurring\
         </l7:JobType><l7:JobStatus>Scheduled</l7:JobStatus><l7:CronExpression>{cron}</l7:CronExpression></l7:ScheduledTask>\
         </l7:Resource></l7:Item>\n"
    )
}

#[test]
fn the_zone_of_tasks_is_said_or_assumed() {
    let text_of = item("A", &policy(SET)) + &task("Nightly", "0 30 2 * * ?") + &task("Often", "0 */13 * * * ?");
    let made = imported(&[("a.xml", &bundle(&text_of))]);
    says(&made, "nobody said which, so UTC was taken: import with `--zone");
    let traps = made.report.findings.iter().filter(|told| told.message.contains("--zone")).count();
    assert_eq!(traps, 1, "one of the two depends on it: {}", markdown(&made.report));
    let part = text(&made, "gateway.yaml");
    assert!(
        part.contains("FILL IN: the time zone") && part.contains("  \"Nightly\":\n    zone: \"UTC\"") && !part.contains("Often"),
        "{part}"
    );
    let options = Options { zone: Some("Europe/Berlin".to_owned()), ..Options::default() };
    let made = imported_with(&[("a.xml", &bundle(&text_of))], &options);
    let part = text(&made, "gateway.yaml");
    assert!(part.contains("  \"Nightly\":\n    zone: \"Europe/Berlin\"") && !part.contains("FILL IN: the time zone"), "{part}");
    assert!(!markdown(&made.report).contains("--zone") && markdown(&made.report).contains("by the clocks of Europe/Berlin"));
}

#[test]
fn what_holds_nothing_is_said() {
    for (name, text, why) in [
        ("a.json", "{}", "holds nothing"),
        ("a.json", "[]", "holds nothing"),
        ("a.json", "", "no export"),
        ("a.xml", "  \n", "no export"),
    ] {
        let made = imported(&[(name, text), ("b.xml", &bundle(&item("B", &policy(SET))))]);
        says(&made, why);
        let all: Vec<&str> = made.report.policies.iter().map(|own| own.name.as_str()).collect();
        assert_eq!(all, ["B"], "{name}: {text}");
    }
}

#[test]
fn a_property_that_nothing_stands_for_is_in_the_report() {
    let step = SET.replace("<L7p:Expression", "<L7p:HopCount intValue=\"3\"/><L7p:Flag booleanValue=\"false\"/><L7p:Expression");
    let made = imported(&[("a.xml", &bundle(&item("A", &policy(&step))))]);
    says(&made, "SetVariable: nothing here stands for `hopCount`");
    assert!(!markdown(&made.report).contains("`flag`"), "what is off says nothing: {}", markdown(&made.report));
    assert_eq!(made.report.lights, [0, 1, 0]);
    let text = html(&made.report);
    assert!(text.contains("left aside") && text.contains("hopCount"), "{text}");
}
