//! Which service a path leads to.

use std::sync::Arc;

use hashbrown::HashMap;
use http::Method;

use super::Route;
use crate::data::path::{self, Form};

/// Paths of all services that are served. They are added one by one, then [`Routes::settle`] is called once.
#[derive(Default)]
pub struct Routes {
    exact: HashMap<String, Exact>,
    /// Paths that end in `*`, longest first.
    prefixes: Vec<Prefix>,
    /// Paths of services as the least strict server compares them.
    folded: HashMap<String, Vec<Written>>,
}

/// A path as a service has it.
struct Written {
    /// Its length without `*`.
    length: usize,
    /// Whether `*` follows.
    star: bool,
    /// Who answers there.
    whose: Whose,
}

/// Who answers at a path: the same number, the same services. Paths of the same services are no rivals of each other.
type Whose = usize;

/// The services of one path, which share its methods.
pub struct Endpoint {
    routes: Vec<Arc<Route>>,
    allow: String,
}

/// A path without `*`.
struct Exact {
    endpoint: Endpoint,
    /// Whether all servers read it alike: then a request for it needs no look at its form.
    plain: bool,
}

struct Prefix {
    /// The path without its `*`.
    path: String,
    endpoint: Endpoint,
    /// Whether a path below this one may be, for a less strict server, the path of another service. Found out when the policies load,
    /// because it is asked for each request and hardly ever so.
    rivals: bool,
    whose: Whose,
}

/// Where a path leads.
pub enum Routed<'s, 'p> {
    /// To the services of this path, with what `*` matched, and the form of the path.
    To(&'s Endpoint, &'p str, Form),
    /// To none.
    Nowhere,
    /// It is refused for this reason: the gateway and the server behind it could read it differently.
    Refused(&'static str),
}

impl Endpoint {
    fn new(route: Arc<Route>) -> Endpoint {
        Endpoint { allow: route.allow.clone(), routes: vec![route] }
    }

    fn add(&mut self, route: Arc<Route>) {
        self.allow = [self.allow.as_str(), &route.allow].join(",");
        self.routes.push(route);
    }

    /// The service for a method.
    pub fn route(&self, method: &Method) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.methods.is_empty() || route.methods.contains(method))
    }

    /// The service that answers for all of them where none has the method.
    pub fn first(&self) -> Option<&Arc<Route>> {
        self.routes.first()
    }

    /// `Allow` of a 405.
    pub fn allow(&self) -> &str {
        &self.allow
    }

    /// Whether none of the services takes paths that servers read in different ways.
    fn plain_paths(&self) -> bool {
        !self.routes.iter().any(|route| route.raw_paths)
    }
}

impl Routes {
    /// Adds a service at a path, which may end in `*`.
    pub fn add(&mut self, path: &str, route: Arc<Route>) {
        let written = path.strip_suffix('*').unwrap_or(path);
        if written == path {
            match self.exact.get_mut(path) {
                Some(exact) => exact.endpoint.add(route),
                None => {
                    let plain = path::form(path) == Ok(Form::Plain);
                    self.exact.insert(path.to_owned(), Exact { endpoint: Endpoint::new(route), plain });
                }
            }
            return;
        }
        match self.prefixes.iter_mut().find(|known| known.path == written) {
            Some(known) => known.endpoint.add(route),
            None => {
                self.prefixes.push(Prefix { path: written.to_owned(), endpoint: Endpoint::new(route), rivals: true, whose: 0 })
            }
        }
    }

    /// Prepares for requests when all paths are known.
    pub fn settle(&mut self) {
        self.prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.path.len()));
        let mut known: HashMap<Vec<*const Route>, Whose> = HashMap::new();
        let mut whose = |endpoint: &Endpoint| {
            let mut routes: Vec<*const Route> = endpoint.routes.iter().map(Arc::as_ptr).collect();
            routes.sort();
            let next = known.len();
            *known.entry(routes).or_insert(next)
        };
        self.folded.clear();
        let mut write = |path: &str, star: bool, whose: Whose| {
            self.folded.entry(path::folded(path).into_owned()).or_default().push(Written { length: path.len(), star, whose });
        };
        for (path, exact) in &self.exact {
            write(path, false, whose(&exact.endpoint));
        }
        for prefix in &mut self.prefixes {
            prefix.whose = whose(&prefix.endpoint);
            write(&prefix.path, true, prefix.whose);
        }
        for prefix in &mut self.prefixes {
            // Whole segments stay together when they are folded. So a path below this one is, folded, below this folder.
            let folder = &prefix.path[..prefix.path.rfind('/').map_or(0, |at| at + 1)];
            let folder = path::folded(folder);
            prefix.rivals = self.folded.iter().any(|(other, paths)| {
                let near = other.starts_with(&*folder) || folder.starts_with(other.as_str());
                near && paths.iter().any(|path| path.length > prefix.path.len() && path.whose != prefix.whose)
            });
        }
    }

    /// All paths without `/*`, each with a service that answers there.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Arc<Route>)> {
        let exact = self.exact.iter().map(|(path, exact)| (path.as_str(), &exact.endpoint));
        let prefixes = self.prefixes.iter().map(|prefix| (prefix.path.trim_end_matches('/'), &prefix.endpoint));
        exact.chain(prefixes).flat_map(|(path, endpoint)| endpoint.routes.iter().map(move |route| (path, route)))
    }

    /// The services that a path leads to.
    pub fn find<'p>(&self, path: &'p str) -> Routed<'_, 'p> {
        if let Some(Exact { endpoint, plain: true }) = self.exact.get(path) {
            return Routed::To(endpoint, "", Form::Plain);
        }
        let form = match path::form(path) {
            Ok(form) => form,
            Err(reason) => return Routed::Refused(reason),
        };
        let found = self.prefixes.iter().find_map(|prefix| Some((prefix, path.strip_prefix(prefix.path.as_str())?)));
        match (found, form) {
            (Some((prefix, _)), Form::Unusual(reason)) if prefix.endpoint.plain_paths() => Routed::Refused(reason),
            (None, Form::Unusual(reason)) => Routed::Refused(reason),
            (None, Form::Plain) => Routed::Nowhere,
            (Some((prefix, _)), _) if prefix.rivals && self.is_of_another(path, prefix, form) => {
                Routed::Refused("less strict servers take the path for that of another service")
            }
            (Some((prefix, rest)), _) => Routed::To(&prefix.endpoint, rest, form),
        }
    }

    /// Whether a path that leads to a service with `*` could, for the server behind it, belong to a service with a longer path.
    /// That service may require more of the client: `/app/Admin/x` leads to `/app/*`, but many servers treat it as
    /// `/app/admin/x`.
    fn is_of_another(&self, path: &str, own: &Prefix, form: Form) -> bool {
        let folded = path::folded(path);
        path::beginnings(&folded).any(|beginning| {
            // It is uncertain where servers split an unusual path, so a prefix counts like the whole.
            let whole = beginning.len() == folded.len() || form != Form::Plain;
            let others = self.folded.get(beginning).into_iter().flatten();
            others.into_iter().any(|other| other.length > own.path.len() && other.whose != own.whose && (other.star || whole))
        })
    }
}
