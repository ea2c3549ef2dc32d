//! A set of policies, compiled, and checked against the services that it is to run with.

use std::sync::Arc;

use portcullis_dsl::diagnostic::render;
use portcullis_dsl::{Severity, Sources};

use super::{Options, Refused, StartError};
use crate::policy::compile::names;
use crate::policy::site::{Compiled, Site};
use crate::services::Services;
use crate::services::config::Config;

/// Compiles the policies. `ready` is called after that, before anything is compared with the services.
pub(super) fn build(
    options: &Options,
    config: &Config,
    sources: Sources,
    services: Arc<Services>,
    ready: impl FnOnce() -> Result<(), StartError>,
) -> Result<(Site, String), Refused> {
    let compiled = match &options.prebuilt {
        Some(prebuilt) => prebuilt.get(sources),
        None => Arc::new(Compiled::new(sources)),
    };
    ready().map_err(|error| Refused { report: error.to_string(), errors: 1 })?;
    let report = render(&compiled.diagnostics, compiled.library.sources(), false);
    let unknown = names::unknown(&compiled.names, &services);
    if !unknown.is_empty() {
        let report = report + &render(&unknown, compiled.library.sources(), false);
        return Err(Refused { report, errors: unknown.len() });
    }
    let allowed = |name: &str| options.allow_unsupported || !compiled.unsupported.contains(name);
    let serves = |name: &str, path: &str, off: bool| config.serves(name, path, off) && allowed(name);
    if !options.allow_unsupported && !compiled.unsupported.is_empty() {
        let left_out: Vec<&str> = compiled.unsupported.iter().map(String::as_str).collect();
        tracing::warn!("not served, because they can come to a step without translation: {}", left_out.join(", "));
    }
    match compiled.site(services, &config.instance_modifier, serves) {
        Some(site) => Ok((site, report)),
        None => {
            let errors = compiled.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
            Err(Refused { report, errors })
        }
    }
}
