//! Bundles of the management API: `Item`s with one entity each, and `Mapping`s. Also a single policy's XML. An item that cannot be read
//! costs only itself, also where the file as a whole is no longer XML.

use std::sync::Arc;

use roxmltree::Node;

use super::xml::{self, Places, all_text, child, children, property, text_of};
use super::{damaged, loose_policy, policy_steps};
use crate::model::*;

/// Reads a file of XML.
pub fn read(path: &Arc<str>, text: &str, export: &mut Export) {
    let lead = text.len() - text.trim_start().len();
    let first = text.get(..lead).unwrap_or("").matches('\n').count();
    match xml::parse(text.trim_start()) {
        Ok(document) => {
            let mut reader = Reader { path, shift: first, places: Places::new(&document), export };
            reader.document(document.root_element(), text);
        }
        Err((line, why)) => {
            damaged(export, path, line + first, why);
            salvage(path, text, export);
        }
    }
}

/// Reads the items of a file that as a whole is not XML, each by itself.
fn salvage(path: &Arc<str>, text: &str, export: &mut Export) {
    let Some(open) = find_open(text) else { return };
    let name = text.get(open + 1..).and_then(|rest| rest.split([' ', '>', '\n', '\r', '\t']).next()).unwrap_or("Item").to_owned();
    let (start, end) = (format!("<{name}"), format!("</{name}>"));
    let prefix = name.strip_suffix(":Item").map_or_else(String::new, |prefix| format!(":{prefix}"));
    let mut at = 0;
    while let Some(begin) = text.get(at..).and_then(|rest| rest.find(&start)).map(|found| at + found) {
        let line = text.get(..begin).unwrap_or("").matches('\n').count();
        let Some(length) = text.get(begin..).and_then(|rest| rest.find(&end)) else {
            damaged(export, path, line + 1, "this item has no end; it is left out".to_owned());
            return;
        };
        let item = text.get(begin..begin + length + end.len()).unwrap_or("");
        let wrapped = format!("<r xmlns{prefix}=\"urn:x\">{item}</r>");
        match xml::parse(&wrapped) {
            Ok(document) => {
                let mut reader = Reader { path, shift: line, places: Places::new(&document), export };
                children(document.root_element(), "Item").for_each(|item| reader.item(item));
            }
            Err((own, why)) => damaged(export, path, line + own, format!("{why}; this item is left out")),
        }
        at = begin + length + end.len();
    }
}

/// Where the first `<Item` or `<prefix:Item` is.
fn find_open(text: &str) -> Option<usize> {
    let found = text.match_indices("Item").find(|(at, _)| {
        let before = text.get(..*at).unwrap_or("");
        let tag = before.rfind('<').and_then(|open| before.get(open + 1..)).unwrap_or("!");
        tag.is_empty() || tag.strip_suffix(':').is_some_and(|prefix| prefix.chars().all(|c| c.is_ascii_alphanumeric()))
    })?;
    text.get(..found.0)?.rfind('<')
}

struct Reader<'r> {
    path: &'r Arc<str>,
    shift: usize,
    places: Places,
    export: &'r mut Export,
}

impl Reader<'_> {
    fn place(&self, node: Node<'_, '_>) -> Place {
        Place::new(self.path, self.places.line(node) + self.shift)
    }

    fn document(&mut self, root: Node<'_, '_>, text: &str) {
        let items: Vec<Node<'_, '_>> = root.descendants().filter(|node| is_item(*node)).collect();
        let mappings: Vec<Node<'_, '_>> = root.descendants().filter(|node| node.tag_name().name() == "Mapping").collect();
        if !items.is_empty() || !mappings.is_empty() {
            items.into_iter().for_each(|item| self.item(item));
            mappings.into_iter().for_each(|mapping| self.mapping(mapping));
            return;
        }
        if root
            .descendants()
            .any(|node| node.tag_name().name() == "Policy" && node.tag_name().namespace().is_some_and(|ns| ns.contains("policy")))
        {
            let mut remarks = Vec::new();
            let body = policy_steps(text, 1, &mut remarks);
            let policy = loose_policy(self.path, body.map_err(|(line, why)| Damage { place: Place::new(self.path, line), why }));
            self.remarks(remarks);
            self.export.policies.push(policy);
            return;
        }
        match root.tag_name().name() {
            "Bundle" | "List" | "References" => {}
            _ => self.entity(root, root),
        }
    }

    fn remarks(&mut self, remarks: Vec<(usize, String)>) {
        remarks.into_iter().for_each(|(line, why)| damaged(self.export, self.path, line, why));
    }

    fn item(&mut self, item: Node<'_, '_>) {
        match child(item, "Resource").and_then(|resource| resource.first_element_child()) {
            Some(entity) => self.entity(entity, item),
            None => {
                let (kind, name) = (text_of(item, "Type"), text_of(item, "Name"));
                let place = self.place(item);
                self.export.damage.push(Damage { place, why: format!("{kind} `{name}` has no content; it is left out") });
            }
        }
    }

    fn entity(&mut self, entity: Node<'_, '_>, item: Node<'_, '_>) {
        let place = self.place(entity);
        match entity.tag_name().name() {
            "Folder" => {
                let id = entity.attribute("id").unwrap_or("").to_owned();
                let parent = entity.attribute("folderId").unwrap_or("").to_owned();
                self.export.folders.push((id, text_of(entity, "Name"), parent));
            }
            "Policy" => self.policy(entity, "PolicyDetail", place),
            "Service" => self.policy(entity, "ServiceDetail", place),
            "EncapsulatedAssertion" => self.encass(entity, place),
            "ClusterProperty" => {
                let (name, value) = (text_of(entity, "Name"), text_of(entity, "Value"));
                let hidden = property(entity, "hiddenProperty").is_some_and(|hidden| hidden == "true");
                self.export.properties.push(Property { name, value, hidden, place });
            }
            "JDBCConnection" => self.database(entity, place),
            "IdentityProvider" => self.provider(entity, place),
            "TrustedCertificate" => {
                let data = child(entity, "CertificateData");
                let encoded = data.map(|data| text_of(data, "Encoded")).unwrap_or_default();
                self.export.certificates.push(Certificate {
                    id: entity.attribute("id").unwrap_or("").to_owned(),
                    name: text_of(entity, "Name"),
                    encoded,
                    place,
                });
            }
            "ScheduledTask" => self.export.tasks.push(Task {
                name: text_of(entity, "Name"),
                policy: child(entity, "PolicyReference").and_then(|node| node.attribute("id")).unwrap_or("").to_owned(),
                cron: text_of(entity, "CronExpression"),
                once: text_of(entity, "JobType").eq_ignore_ascii_case("One time"),
                enabled: !text_of(entity, "JobStatus").eq_ignore_ascii_case("Disabled"),
                place,
            }),
            kind => {
                let own = text_of(entity, "Name");
                let name = if own.is_empty() { text_of(item, "Name") } else { own };
                let kind = Some(text_of(item, "Type")).filter(|ty| !ty.is_empty()).unwrap_or_else(|| kind.to_owned());
                self.export.others.push(Other { kind, name, place });
            }
        }
    }

    fn policy(&mut self, entity: Node<'_, '_>, detail: &str, place: Place) {
        let Some(detail) = child(entity, detail) else {
            self.export.damage.push(Damage { place, why: "a policy without details is left out".to_owned() });
            return;
        };
        let attribute = |name: &str| detail.attribute(name).or_else(|| entity.attribute(name)).unwrap_or("").to_owned();
        let mut sources =
            entity.descendants().filter(|node| node.tag_name().name() == "Resource" && node.attribute("type") == Some("policy"));
        let mut remarks = Vec::new();
        let body = match sources.next() {
            Some(source) => {
                let text = all_text(source);
                let lead = text.len() - text.trim_start().len();
                let line = self.places.line(source) + self.shift + text.get(..lead).unwrap_or("").matches('\n').count();
                policy_steps(&text, line, &mut remarks).map_err(|(line, why)| Damage { place: Place::new(self.path, line), why })
            }
            None => Err(Damage { place: place.clone(), why: "the export has no text of this policy".to_owned() }),
        };
        self.remarks(remarks);
        let role = if entity.tag_name().name() == "Service" { Role::Service(service(detail)) } else { role(detail) };
        self.export.policies.push(Policy {
            guid: attribute("guid"),
            id: attribute("id"),
            name: text_of(detail, "Name"),
            folder: Vec::new(),
            folder_id: attribute("folderId"),
            role,
            body,
            place,
            version: attribute("version"),
            doc: property(detail, "description").unwrap_or_default(),
        });
    }

    fn encass(&mut self, entity: Node<'_, '_>, place: Place) {
        let list = |outer: &str, inner: &'static str| -> Vec<Node<'_, '_>> {
            child(entity, outer).into_iter().flat_map(|list| children(list, inner)).collect()
        };
        let mut inputs: Vec<(usize, Argument)> = list("EncapsulatedArguments", "EncapsulatedAssertionArgument")
            .into_iter()
            .map(|node| {
                let argument = Argument {
                    name: text_of(node, "ArgumentName"),
                    ty: text_of(node, "ArgumentType"),
                    prompt: text_of(node, "GuiPrompt") == "true",
                    label: text_of(node, "GuiLabel"),
                };
                (text_of(node, "Ordinal").trim().parse().unwrap_or(usize::MAX), argument)
            })
            .collect();
        inputs.sort_by_key(|(ordinal, _)| *ordinal);
        let outputs = list("EncapsulatedResults", "EncapsulatedAssertionResult").into_iter().map(|node| Argument {
            name: text_of(node, "ResultName"),
            ty: text_of(node, "ResultType"),
            ..Argument::default()
        });
        self.export.encasses.push(Encass {
            guid: text_of(entity, "Guid"),
            id: entity.attribute("id").unwrap_or("").to_owned(),
            name: text_of(entity, "Name"),
            policy: child(entity, "PolicyReference").and_then(|node| node.attribute("id")).unwrap_or("").to_owned(),
            inputs: inputs.into_iter().map(|(_, argument)| argument).collect(),
            outputs: outputs.collect(),
            doc: property(entity, "description").unwrap_or_default(),
            place,
        });
    }

    fn database(&mut self, entity: Node<'_, '_>, place: Place) {
        let extension = child(entity, "Extension").unwrap_or(entity);
        let connection = child(extension, "ConnectionProperties");
        let own = |key: &str| {
            let mut all = connection.into_iter().flat_map(|properties| children(properties, "Property"));
            all.find(|property| property.attribute("key") == Some(key)).map(|property| all_text(property).trim().to_owned())
        };
        self.export.databases.push(Database {
            name: text_of(entity, "Name"),
            url: text_of(extension, "JdbcUrl").trim().to_owned(),
            user: own("user").unwrap_or_default(),
            password: own("password").filter(|password| !password.is_empty()),
            pool: property(entity, "maximumPoolSize"),
            place,
        });
    }

    fn provider(&mut self, entity: Node<'_, '_>, place: Place) {
        let find = |name: &str| entity.descendants().find(|node| node.is_element() && node.tag_name().name() == name);
        let urls = find("ServerUrls").into_iter().flat_map(|urls| urls.children().filter(Node::is_element));
        self.export.providers.push(Provider {
            id: entity.attribute("id").unwrap_or("").to_owned(),
            name: text_of(entity, "Name"),
            kind: text_of(entity, "IdentityProviderType"),
            urls: urls.map(|url| all_text(url).trim().to_owned()).collect(),
            base: find("SearchBase").map(all_text).unwrap_or_default().trim().to_owned(),
            bind_dn: find("BindDn").map(all_text).unwrap_or_default().trim().to_owned(),
            place,
        });
    }

    fn mapping(&mut self, mapping: Node<'_, '_>) {
        let attribute = |name: &str| mapping.attribute(name).unwrap_or("").to_owned();
        let (kind, id, action) = (attribute("type"), attribute("srcId"), attribute("action"));
        match action.as_str() {
            "Ignore" => self.export.ignored.push((kind, id)),
            "Delete" => {
                let place = self.place(mapping);
                self.export.others.push(Other { kind: format!("{kind} to be deleted"), name: id, place });
            }
            _ => {
                let by_name = property(mapping, "MapBy").is_some_and(|by| by == "name");
                if let (true, Some(name)) = (by_name, property(mapping, "MapTo")) {
                    self.export.renamed.push((kind, id, name));
                }
            }
        }
    }
}

/// An item of a bundle: it says of which type it is.
fn is_item(node: Node<'_, '_>) -> bool {
    node.tag_name().name() == "Item" && child(node, "Type").is_some()
}

fn service(detail: Node<'_, '_>) -> Service {
    let mapping = child(detail, "ServiceMappings").and_then(|all| child(all, "HttpMapping"));
    let verbs = mapping.and_then(|mapping| child(mapping, "Verbs"));
    Service {
        path: mapping.map(|mapping| text_of(mapping, "UrlPattern").trim().to_owned()).unwrap_or_default(),
        methods: verbs
            .into_iter()
            .flat_map(|verbs| children(verbs, "Verb"))
            .map(|verb| all_text(verb).trim().to_owned())
            .collect(),
        enabled: text_of(detail, "Enabled") != "false",
        soap: property(detail, "soap").is_some_and(|soap| soap == "true"),
    }
}

fn role(detail: Node<'_, '_>) -> Role {
    let kind = text_of(detail, "PolicyType");
    let tag = property(detail, "tag").unwrap_or_default();
    match kind.as_str() {
        "" | "Include" | "Included" => Role::Fragment,
        // Background tasks are policies that a task names.
        "Service Operation" if tag.ends_with("BackgroundTask") => Role::Fragment,
        "Internal" if tag.is_empty() => Role::Fragment,
        _ if tag.is_empty() => Role::Special(kind),
        _ => Role::Special(format!("{kind} {tag}")),
    }
}
