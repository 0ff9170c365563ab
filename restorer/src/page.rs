//! `/`: what this is, and where to go on.

use axum::response::Html;

const PAGE: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Backstock</title>
<h1>Backstock</h1>
<p>This server keeps every version of everything in a Shopify store.</p>
<p>The API begins at <code>/v1/</code>; <a href=\"/v1/openapi.json\">its description</a> lists
every route. On a command line, <code>backstock status</code> is a good beginning.</p>
<p>Health: <a href=\"/healthz\">/healthz</a>, <a href=\"/readyz\">/readyz</a>,
<a href=\"/metrics\">/metrics</a></p>
</html>
";

pub(crate) async fn page() -> Html<&'static str> {
    Html(PAGE)
}
