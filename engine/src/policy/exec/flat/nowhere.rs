//! A gateway that is none.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Response;
use smol_str::SmolStr;

use crate::policy::ctx::Environment;
use crate::policy::request::Request;
use crate::services::Services;

/// No gateway: nothing that is evaluated beforehand asks for one.
#[derive(Default)]
pub struct Nowhere {
    services: Services,
    modifier: SmolStr,
}

impl Environment for Nowhere {
    fn services(&self) -> &Services {
        &self.services
    }

    fn served(&self) -> Vec<&SmolStr> {
        Vec::new()
    }

    fn service_path(&self, _name: &str) -> &str {
        ""
    }

    fn instance_modifier(&self) -> &SmolStr {
        &self.modifier
    }

    fn own_cookies(&self) -> &[SmolStr] {
        &[]
    }

    fn answer(self: Arc<Self>, _request: Request) -> BoxFuture<'static, Response<Bytes>> {
        Box::pin(async { Response::default() })
    }
}
