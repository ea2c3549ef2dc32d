//! What the process says of itself, for policies that show it to operators.

use std::fmt;
use std::sync::OnceLock;

use serde_json::Value as Json;

type Maker = Box<dyn Fn() -> Json + Send + Sync>;

/// Makes the report when somebody asks. Only the process knows how, so it says so once it runs; before that there is nothing to report.
#[derive(Default)]
pub struct Report(OnceLock<Maker>);

impl Report {
    /// Says how the report is made. A second time it changes nothing.
    pub fn made_by(&self, maker: impl Fn() -> Json + Send + Sync + 'static) {
        drop(self.0.set(Box::new(maker)));
    }

    /// The report as it is now; an empty object if there is none.
    pub fn now(&self) -> Json {
        self.0.get().map_or_else(|| Json::Object(serde_json::Map::new()), |maker| maker())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}
