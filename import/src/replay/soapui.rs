//! Requests of SoapUI projects, REST and SOAP: those of services, and those of test steps.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roxmltree::Node;

use super::variables::fill;
use super::{Recorded, Recording, Skipped, default_header, form, in_form, in_url, is_of_connection, split_url};
use crate::read::xml::{all_text, child, children, parse, text_of};

const MARKS: (&str, &str) = ("${", "}");
const FIELDS: &str = "com.eviware.soapui.impl.wsdl.WsdlRequest@request-headers";

/// A method of a resource: how each parameter is sent.
#[derive(Clone, Default)]
struct Method {
    verb: String,
    path: String,
    /// Name to style and default value.
    styles: BTreeMap<String, (String, String)>,
}

/// Reads a project.
pub(super) fn read(path: &str, text: &str, given: &BTreeMap<String, String>, recording: &mut Recording) {
    let unusable = |why: String| Skipped { place: path.to_owned(), why };
    let document = match parse(text) {
        Ok(document) => document,
        Err((line, why)) => return recording.unusable.push(unusable(format!("line {line}: {why}"))),
    };
    let root = document.root_element();
    if root.tag_name().name() != "soapui-project" {
        return recording.unusable.push(unusable(format!("`{}` is not a SoapUI project", root.tag_name().name())));
    }
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    if let Some(properties) = child(root, "properties") {
        known.extend(
            children(properties, "property").map(|one| (format!("#Project#{}", text_of(one, "name")), text_of(one, "value"))),
        );
    }
    for (name, value) in given {
        known.insert(format!("#Project#{name}"), value.clone());
        known.insert(name.clone(), value.clone());
    }
    let mut methods: BTreeMap<(String, String, String), Method> = BTreeMap::new();
    for interface in children(root, "interface") {
        let name = interface.attribute("name").unwrap_or_default();
        if !interface.attributes().any(|own| own.name() == "type" && own.value().ends_with("RestService")) {
            soap(interface, &format!("{path} / {name}"), &known, recording);
            continue;
        }
        let base = interface.attribute("basePath").unwrap_or_default();
        for resource in interface.descendants().filter(|node| is(*node, "resource")) {
            let full = format!("{base}{}", whole_path(resource));
            let mut shared = BTreeMap::new();
            let above: Vec<Node<'_, '_>> = resource.ancestors().filter(|node| is(*node, "resource")).collect();
            above.iter().rev().for_each(|node| styles(*node, &mut shared));
            for method in children(resource, "method") {
                let mut own = shared.clone();
                styles(method, &mut own);
                let verb = method.attribute("method").unwrap_or("GET").to_owned();
                let method_name = method.attribute("name").unwrap_or_default();
                let known_method = Method { verb, path: full.clone(), styles: own };
                for request in children(method, "request") {
                    let place = format!("{path} / {name} / {method_name} / {}", request.attribute("name").unwrap_or_default());
                    add(request, &known_method, &known, place, recording);
                }
                methods.insert((name.to_owned(), full.clone(), method_name.to_owned()), known_method);
            }
        }
    }
    for step in root.descendants().filter(|node| is(*node, "testStep")) {
        let names: Vec<&str> = step
            .ancestors()
            .filter(|node| ["testStep", "testCase", "testSuite"].contains(&node.tag_name().name()))
            .filter_map(|node| node.attribute("name"))
            .collect();
        let place = format!("{path} / {}", names.iter().rev().copied().collect::<Vec<_>>().join(" / "));
        let off = step.attribute("disabled") == Some("true");
        if let (Some(config), Some("request"), false) = (child(step, "config"), step.attribute("type"), off) {
            let interface = children(root, "interface").find(|own| own.attribute("name") == Some(&text_of(config, "interface")));
            let operation = interface.and_then(|own| {
                children(own, "operation").find(|operation| operation.attribute("name") == Some(&text_of(config, "operation")))
            });
            match (interface, operation, child(config, "request")) {
                (Some(interface), Some(operation), Some(request)) => {
                    add_soap(request, (interface, operation), &known, place, recording);
                }
                _ => recording.skip(place, "its operation is not in the project"),
            }
            continue;
        }
        let (Some(config), Some("restrequest"), false) = (child(step, "config"), step.attribute("type"), off) else {
            if !off {
                recording
                    .skip(place, format!("a step of the kind `{}` is not replayed", step.attribute("type").unwrap_or_default()));
            }
            continue;
        };
        let word = |name: &str| config.attribute(name).unwrap_or_default().to_owned();
        let found = methods.get(&(word("service"), word("resourcePath"), word("methodName")));
        match (found, child(config, "restRequest")) {
            (Some(method), Some(request)) => add(request, method, &known, place, recording),
            _ => recording.skip(place, "its method is not in the project"),
        }
    }
}

/// The calls of a SOAP interface.
fn soap(interface: Node<'_, '_>, path: &str, known: &BTreeMap<String, String>, recording: &mut Recording) {
    for operation in children(interface, "operation") {
        for call in children(operation, "call") {
            let word = |node: Node<'_, '_>| node.attribute("name").unwrap_or_default().to_owned();
            let place = format!("{path} / {} / {}", word(operation), word(call));
            add_soap(call, (interface, operation), known, place, recording);
        }
    }
}

fn add_soap(
    call: Node<'_, '_>,
    (interface, operation): (Node<'_, '_>, Node<'_, '_>),
    known: &BTreeMap<String, String>,
    place: String,
    recording: &mut Recording,
) {
    let mut unknown = BTreeSet::new();
    let mut filled = |text: &str| fill(text, MARKS, known, &mut unknown);
    let mut headers = fields(call, &mut filled);
    headers.retain(|(name, _)| !is_of_connection(name));
    let body = child(call, "request").map(all_text).map(|text| filled(&text)).unwrap_or_default();
    let action = operation.attribute("action").unwrap_or_default().replace(['"', '\r', '\n'], "");
    if interface.attribute("soapVersion") == Some("1_2") {
        let action = if action.is_empty() { String::new() } else { format!(";action=\"{action}\"") };
        default_header(&mut headers, "Content-Type", &format!("application/soap+xml;charset=UTF-8{action}"));
    } else {
        default_header(&mut headers, "Content-Type", "text/xml;charset=UTF-8");
        default_header(&mut headers, "SOAPAction", &format!("\"{action}\""));
    }
    if let Some(credentials) = child(call, "credentials") {
        basic(credentials, &mut headers, &mut filled);
    }
    let endpoint = fill(&text_of(call, "endpoint"), MARKS, known, &mut BTreeSet::new());
    let (origin, target) = match endpoint.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
        Some((_, rest)) => (None, split_url(rest).1),
        None => split_url(&endpoint),
    };
    match wanted(&unknown) {
        Err(why) => recording.skip(place, why),
        Ok(wants) => recording.requests.push(Recorded {
            name: format!("POST {}", target.split('?').next().unwrap_or_default()),
            place,
            method: "POST".to_owned(),
            origin,
            target: in_url(&target),
            headers,
            body: body.into_bytes(),
            wants,
            ..Recorded::default()
        }),
    }
}

/// Variables that answers may give: those that a test case transfers. What is a script is known to the tool alone.
fn wanted(unknown: &BTreeSet<String>) -> Result<Vec<(String, String)>, String> {
    if unknown.iter().any(|name| name.starts_with('=')) {
        let names: Vec<String> = unknown.iter().map(|name| format!("`{name}`")).collect();
        return Err(format!(
            "values that only SoapUI knows: {} (`--var NAME=VALUE` for properties of the project)",
            names.join(", ")
        ));
    }
    let short = |name: &str| name.rsplit('#').next().unwrap_or(name).to_owned();
    Ok(unknown.iter().map(|name| (format!("{}{name}{}", MARKS.0, MARKS.1), short(name))).collect())
}

fn basic(credentials: Node<'_, '_>, headers: &mut Vec<(String, String)>, filled: &mut impl FnMut(&str) -> String) {
    let (user, password) = (filled(&text_of(credentials, "username")), filled(&text_of(credentials, "password")));
    if !user.is_empty() {
        default_header(headers, "Authorization", &format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
    }
}

fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

/// Resources stand in resources; a path need not begin with `/`.
fn whole_path(resource: Node<'_, '_>) -> String {
    let mut parts: Vec<String> = resource
        .ancestors()
        .filter(|node| is(*node, "resource"))
        .filter_map(|node| node.attribute("path"))
        .filter(|path| !path.is_empty())
        .map(|path| if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
        .collect();
    parts.reverse();
    parts.concat()
}

fn styles(node: Node<'_, '_>, into: &mut BTreeMap<String, (String, String)>) {
    let Some(parameters) = child(node, "parameters") else { return };
    for one in children(parameters, "parameter") {
        let value = match text_of(one, "value") {
            value if value.is_empty() => text_of(one, "default"),
            value => value,
        };
        into.insert(text_of(one, "name"), (text_of(one, "style"), value));
    }
}

fn entries(node: Node<'_, '_>) -> Vec<(String, String)> {
    let word = |one: Node<'_, '_>, name: &str| one.attribute(name).unwrap_or_default().to_owned();
    children(node, "entry").map(|one| (word(one, "key"), word(one, "value"))).collect()
}

fn add(request: Node<'_, '_>, method: &Method, known: &BTreeMap<String, String>, place: String, recording: &mut Recording) {
    match self::request(request, method, known) {
        Ok(request) => recording.requests.push(Recorded { place, ..request }),
        Err(why) => recording.skip(place, why),
    }
}

fn request(request: Node<'_, '_>, method: &Method, known: &BTreeMap<String, String>) -> Result<Recorded, String> {
    let mut unknown = BTreeSet::new();
    let mut filled = |text: &str| fill(text, MARKS, known, &mut unknown);
    let mut values: BTreeMap<String, String> =
        method.styles.iter().map(|(name, (_, value))| (name.clone(), filled(value))).collect();
    if let Some(parameters) = child(request, "parameters") {
        values.extend(entries(parameters).iter().map(|(name, value)| (name.clone(), filled(value))));
    }
    let (mut path, mut query, mut headers) = (method.path.clone(), Vec::new(), fields(request, &mut filled));
    for (name, value) in &values {
        match method.styles.get(name).map_or("QUERY", |(style, _)| style.as_str()) {
            "TEMPLATE" => path = path.replace(&format!("{{{name}}}"), &in_form(value)),
            "HEADER" if !value.is_empty() => default_header(&mut headers, name, value),
            "QUERY" if !value.is_empty() => query.push((name.clone(), value.clone())),
            "MATRIX" | "PLAIN" => return Err(format!("the parameter `{name}` has a style that is not replayed")),
            _ => {}
        }
    }
    headers.retain(|(name, _)| !is_of_connection(name));
    let mut body = child(request, "request").map(all_text).map(|text| filled(&text)).unwrap_or_default();
    let media = request.attribute("mediaType").unwrap_or_default();
    if request.attribute("postQueryString") == Some("true") {
        body = form(&query);
        query.clear();
        default_header(&mut headers, "Content-Type", "application/x-www-form-urlencoded");
    } else if !body.is_empty() && !media.is_empty() {
        default_header(&mut headers, "Content-Type", media);
    }
    if let Some(credentials) = child(request, "credentials") {
        basic(credentials, &mut headers, &mut filled);
    }
    let path = filled(&path);
    let target = if query.is_empty() { path } else { format!("{path}?{}", form(&query)) };
    let endpoint = text_of(request, "endpoint");
    let wants = wanted(&unknown)?;
    // The server may be a property that nobody knows here: the request goes to another one anyway.
    let endpoint = fill(&endpoint, MARKS, known, &mut BTreeSet::new());
    let (origin, prefix) =
        if endpoint.is_empty() || endpoint.contains("${") { (None, "/".to_owned()) } else { split_url(&endpoint) };
    let target = format!("{}{target}", prefix.trim_end_matches('/'));
    let target = if target.starts_with('/') { target } else { format!("/{target}") };
    Ok(Recorded {
        name: format!("{} {}", method.verb, target.split('?').next().unwrap_or_default()),
        place: String::new(),
        method: method.verb.clone(),
        origin,
        target: in_url(&target),
        headers,
        body: body.into_bytes(),
        answer: None,
        wants,
        jar: false,
    })
}

/// Header fields are XML in the text of a setting.
fn fields(request: Node<'_, '_>, filled: &mut impl FnMut(&str) -> String) -> Vec<(String, String)> {
    let Some(setting) = children(request, "setting").find(|setting| setting.attribute("id") == Some(FIELDS)) else {
        return Vec::new();
    };
    let text = all_text(setting);
    let Ok(document) = parse(&text) else { return Vec::new() };
    let own = entries(document.root_element());
    let own = if own.is_empty() { document.root_element().children().flat_map(entries).collect() } else { own };
    own.iter().map(|(name, value)| (filled(name), filled(value))).collect()
}
