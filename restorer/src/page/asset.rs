//! The page's stylesheet, script and icon. Their addresses hold their digests, so that browsers keep
//! them for ever and never keep an old one.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use backstock_proto::problem::Problem;
use http::{StatusCode, header};

pub(crate) struct Asset {
    name: &'static str,
    media_type: &'static str,
    body: &'static str,
}

pub(crate) static STYLE: Asset = Asset {
    name: "page.css",
    media_type: "text/css; charset=utf-8",
    body: include_str!("assets/page.css"),
};
pub(crate) static SCRIPT: Asset = Asset {
    name: "page.js",
    media_type: "text/javascript; charset=utf-8",
    body: include_str!("assets/page.js"),
};
pub(crate) static ICON: Asset =
    Asset { name: "icon.svg", media_type: "image/svg+xml", body: include_str!("assets/icon.svg") };

static ADDRESSES: LazyLock<[(String, &Asset); 3]> = LazyLock::new(|| {
    [&STYLE, &SCRIPT, &ICON].map(|asset| {
        let digest = blake3::hash(asset.body.as_bytes()).to_hex();
        (format!("/assets/{}-{}", &digest[..16], asset.name), asset)
    })
});

impl Asset {
    /// Where it is to be had.
    pub(crate) fn address(&'static self) -> &'static str {
        let this = |(_, asset): &&(String, &Asset)| std::ptr::eq(*asset, self);
        ADDRESSES.iter().find(this).map_or("", |(address, _)| address)
    }
}

/// One of them.
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let path = format!("/assets/{name}");
    let found = ADDRESSES.iter().find(|(address, _)| *address == path);
    let (_, asset) = found.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "there is no such file; reload the page that needs it")
    })?;
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.body).into_response())
}
