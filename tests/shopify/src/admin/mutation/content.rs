//! Pages, blogs, articles, redirects and menus. None of them has a webhook.

use serde_json::{Map, Value, json};

use super::{Call, Input, UserError, answer, metafield, sorted_tags};
use crate::admin::session::{Outcome, not_simulated};
use crate::catalog::handle;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, target};

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "pageCreate" | "blogCreate" | "articleCreate" => create(shop, call),
        "pageUpdate" | "blogUpdate" | "articleUpdate" => update(shop, call),
        "pageDelete" => Ok(delete(shop, call, "Page", "deletedPageId")),
        "blogDelete" => Ok(delete(shop, call, "Blog", "deletedBlogId")),
        "articleDelete" => Ok(delete(shop, call, "Article", "deletedArticleId")),
        "urlRedirectCreate" | "urlRedirectUpdate" => redirect(shop, call),
        "urlRedirectDelete" => Ok(delete(shop, call, "UrlRedirect", "deletedUrlRedirectId")),
        "menuCreate" | "menuUpdate" => Ok(menu(shop, call)),
        "menuDelete" => Ok(delete_menu(shop, call)),
        _ => return None,
    })
}

/// The type that a mutation is about, the name of its argument and of its result.
fn about(name: &str) -> (&'static str, &'static str) {
    match name.get(..4) {
        Some("page") => ("Page", "page"),
        Some("blog") => ("Blog", "blog"),
        _ => ("Article", "article"),
    }
}

const FIELDS: [&str; 14] = [
    "title",
    "handle",
    "body",
    "summary",
    "isPublished",
    "publishDate",
    "templateSuffix",
    "metafields",
    "redirectNewHandle",
    "commentPolicy",
    "author",
    "blogId",
    "tags",
    "image",
];

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let (type_name, result) = about(call.name);
    let given = call.args.get(result).cloned().unwrap_or_default();
    let input = Input::of(result, &given, &FIELDS)?;
    if call.args.get("blog").is_some_and(|_| type_name == "Article") {
        return Err(not_simulated("articleCreate that creates its blog"));
    }
    let title = input.text("title").unwrap_or_default();
    if title.trim().is_empty() {
        let error = UserError::new(&[result, "title"], "Title can't be blank").code("BLANK");
        return Ok(answer(result, Value::Null, vec![error]));
    }
    let blog = input.text("blogId").and_then(|id| id.parse::<Gid>().ok());
    if type_name == "Article" && blog.is_none_or(|blog| shop.store.get(blog).is_none()) {
        let error = UserError::new(&["article"], "Must reference an existing blog.");
        return Ok(answer(result, Value::Null, vec![error.code("NOT_FOUND")]));
    }
    let handle = match free_handle(shop, type_name, blog, input.text("handle"), title) {
        Ok(handle) => handle,
        Err(error) => return Ok(answer(result, Value::Null, vec![error])),
    };
    let gid = shop.store.fresh(type_name);
    let now = shop.now_text();
    let mut state = json!({
        "__typename": type_name, "id": gid.to_string(), "title": title, "handle": handle,
        "templateSuffix": null, "metafields": [], "createdAt": now, "updatedAt": now,
    });
    let extra = match type_name {
        "Blog" => json!({ "commentPolicy": "CLOSED", "tags": [], "feed": null }),
        "Article" => json!({
            "body": "", "summary": null, "tags": [], "image": null, "author": null,
            "blog": blog.map(link), "isPublished": true, "publishedAt": now, "comments": [],
        }),
        _ => json!({ "body": "", "bodySummary": "", "isPublished": true, "publishedAt": now }),
    };
    merge(&mut state, extra);
    shop.put(gid, state);
    if let Err(error) = apply(shop, gid, &input)? {
        shop.remove(gid);
        return Ok(answer(result, Value::Null, vec![error]));
    }
    Ok(answer(result, link(gid), vec![]))
}

fn merge(state: &mut Value, extra: Value) {
    if let (Value::Object(state), Value::Object(extra)) = (state, extra) {
        state.extend::<Map<String, Value>>(extra);
    }
}

/// A blog whose handle is taken gets another one without a word; a page or article is refused.
/// Articles only compete within their blog.
fn free_handle(
    shop: &Shop,
    type_name: &str,
    blog: Option<Gid>,
    wanted: Option<&str>,
    title: &str,
) -> Result<String, UserError> {
    let taken = |candidate: &str| {
        shop.store.live(type_name).any(|(_, other)| {
            other["handle"] == *candidate
                && (type_name != "Article" || target(&other["blog"]) == blog)
        })
    };
    let made = handle(wanted.unwrap_or(title));
    if !taken(&made) {
        return Ok(made);
    }
    if wanted.is_some() && type_name != "Blog" {
        let field = about_type(type_name);
        let error = UserError::new(&[field, "handle"], "Handle has already been taken");
        return Err(error.code("TAKEN"));
    }
    let free = (1..).map(|n: u64| format!("{made}-{n}")).find(|candidate| !taken(candidate));
    Ok(free.unwrap_or(made))
}

fn about_type(type_name: &str) -> &'static str {
    match type_name {
        "Page" => "page",
        "Blog" => "blog",
        _ => "article",
    }
}

fn apply(shop: &mut Shop, gid: Gid, input: &Input<'_>) -> Outcome<Result<(), UserError>> {
    if let Some(metafields) = input.list("metafields")
        && let Err(error) = metafield::write_owned(shop, gid, metafields)?
    {
        return Ok(Err(error));
    }
    let now = shop.now_text();
    shop.update(gid, |state| {
        input.copy(state, &[("title", "title"), ("templateSuffix", "templateSuffix")]);
        for field in ["body", "summary", "commentPolicy"] {
            if let Some(value) = input.get(field) {
                // HTML is kept to the letter.
                state[field] = value.clone();
            }
        }
        if let Some(tags) = input.list("tags") {
            state["tags"] = json!(sorted_tags(tags));
        }
        if let Some(author) = input.get("author") {
            state["author"] = json!({ "__typename": "ArticleAuthor", "name": author["name"] });
        }
        if input.clears("image") {
            state["image"] = Value::Null;
        }
        if let Some(image) = input.get("image") {
            picture(&mut state["image"], image);
        }
        if let Some(blog) = input.text("blogId").and_then(|id| id.parse().ok()) {
            state["blog"] = link(blog);
        }
        if let Some(date) = input.get("publishDate") {
            state["publishedAt"] = date.clone();
            state["isPublished"] = json!(date.as_str().is_some_and(|date| date <= now.as_str()));
        }
        if let Some(published) = input.get("isPublished").and_then(Value::as_bool) {
            state["isPublished"] = json!(published);
            if !published {
                state["publishedAt"] = Value::Null;
            } else if state["publishedAt"].is_null() {
                state["publishedAt"] = json!(now);
            }
        }
    });
    Ok(Ok(()))
}

/// Another picture, or another text for the one that is there.
fn picture(held: &mut Value, given: &Value) {
    if held.is_null() {
        *held = json!({
            "__typename": "Image", "id": null, "url": null, "altText": null, "width": null,
            "height": null,
        });
    }
    for field in ["url", "altText"] {
        if let Some(value) = given.get(field) {
            held[field] = value.clone();
        }
    }
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let (type_name, result) = about(call.name);
    let given = call.args.get(result).cloned().unwrap_or_default();
    let input = Input::of(result, &given, &FIELDS)?;
    let found = call.args.gid("id").filter(|gid| gid.type_name() == type_name);
    let found = found.and_then(|gid| Some((gid, shop.store.get(gid)?)));
    let Some((gid, before)) = found else {
        let error = UserError::new(&["id"], format!("{type_name} does not exist"));
        return Ok(answer(result, Value::Null, vec![error.code("NOT_FOUND")]));
    };
    if let Some(wanted) = input.text("handle")
        && before["handle"] != handle(wanted)
    {
        let free = free_handle(shop, type_name, target(&before["blog"]), Some(wanted), "");
        match free {
            Err(error) => return Ok(answer(result, Value::Null, vec![error])),
            Ok(free) => {
                if input.get("redirectNewHandle") == Some(&json!(true)) {
                    let old = before["handle"].as_str().unwrap_or_default();
                    let folder = if type_name == "Page" { "pages" } else { "blogs" };
                    add_redirect(shop, &format!("/{folder}/{old}"), &format!("/{folder}/{free}"));
                }
                shop.update(gid, |state| state["handle"] = json!(free));
            }
        }
    }
    match apply(shop, gid, &input)? {
        Err(error) => Ok(answer(result, Value::Null, vec![error])),
        Ok(()) => Ok(answer(result, link(gid), vec![])),
    }
}

fn delete(shop: &mut Shop, call: &Call<'_>, type_name: &str, result: &str) -> Value {
    let found = call
        .args
        .gid("id")
        .filter(|gid| gid.type_name() == type_name && shop.store.get(*gid).is_some());
    let Some(gid) = found else {
        let error = UserError::new(&["id"], format!("{type_name} does not exist"));
        return answer(result, Value::Null, vec![error.code("NOT_FOUND")]);
    };
    if type_name == "Blog" {
        for article in shop.store.naming("Article", "blog", gid) {
            shop.remove(article);
        }
    }
    shop.remove(gid);
    answer(result, json!(gid.to_string()), vec![])
}

/// A redirect that the shop makes by itself, unless the path has one.
pub(super) fn add_redirect(shop: &mut Shop, path: &str, to: &str) {
    if shop.store.live("UrlRedirect").all(|(_, known)| known["path"] != *path) {
        let gid = shop.store.fresh("UrlRedirect");
        shop.put(
            gid,
            json!({
                "__typename": "UrlRedirect", "id": gid.to_string(), "path": path, "target": to,
            }),
        );
    }
}

/// Redirects have no date of their own.
fn redirect(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let result = "urlRedirect";
    let given = call.args.get(result).cloned().unwrap_or_default();
    let input = Input::of("UrlRedirectInput", &given, &["path", "target"])?;
    let known = call.args.gid("id").and_then(|gid| Some((gid, shop.store.get(gid)?)));
    if call.name == "urlRedirectUpdate" && known.is_none() {
        let error = UserError::new(&["id"], "Redirect does not exist").code("DOES_NOT_EXIST");
        return Ok(answer(result, Value::Null, vec![error]));
    }
    let path = input.text("path").map(|path| {
        let path = path.trim_end_matches('/');
        if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
    });
    if known.is_none() && (path.is_none() || input.text("target").is_none()) {
        let error = UserError::new(&[result, "path"], "Path can't be blank");
        return Ok(answer(result, Value::Null, vec![error]));
    }
    let own = known.as_ref().map(|(gid, _)| *gid);
    let taken = path.as_ref().is_some_and(|path| {
        shop.store
            .live("UrlRedirect")
            .any(|(gid, other)| Some(gid) != own && other["path"] == **path)
    });
    if taken {
        let error = UserError::new(&[result, "path"], "Path has already been taken");
        return Ok(answer(result, Value::Null, vec![error]));
    }
    let gid = own.unwrap_or_else(|| shop.store.fresh("UrlRedirect"));
    let mut state = known.map_or_else(
        || json!({ "__typename": "UrlRedirect", "id": gid.to_string() }),
        |(_, state)| (*state).clone(),
    );
    input.copy(&mut state, &[("target", "target")]);
    if let Some(path) = path {
        state["path"] = json!(path);
    }
    shop.put(gid, state);
    Ok(answer(result, link(gid), vec![]))
}

/// The whole tree is given every time; an item that has its id keeps it.
fn menu(shop: &mut Shop, call: &Call<'_>) -> Value {
    let known = call.args.gid("id").and_then(|gid| Some((gid, shop.store.get(gid)?)));
    if call.name == "menuUpdate" && known.is_none() {
        let error = UserError::new(&["id"], "Menu does not exist").code("NOT_FOUND");
        return answer("menu", Value::Null, vec![error]);
    }
    let wanted = call.args.text("handle").map(handle);
    let default = known.as_ref().is_some_and(|(_, state)| state["isDefault"] == true);
    if default
        && wanted.as_ref().is_some_and(|w| known.as_ref().is_some_and(|(_, s)| s["handle"] != **w))
    {
        let error = UserError::new(&["handle"], "Cannot change the handle of a default menu");
        return answer("menu", Value::Null, vec![error]);
    }
    let own = known.as_ref().map(|(gid, _)| *gid);
    let taken = wanted.as_ref().is_some_and(|wanted| {
        shop.store.live("Menu").any(|(gid, other)| Some(gid) != own && other["handle"] == **wanted)
    });
    if taken {
        let error = UserError::new(&["handle"], "Handle has already been taken");
        return answer("menu", Value::Null, vec![error]);
    }
    let items = call.args.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(error) = menu_refusal(shop, &items, 1) {
        return answer("menu", Value::Null, vec![error]);
    }
    let items = menu_items(shop, &items);
    let gid = own.unwrap_or_else(|| shop.store.fresh("Menu"));
    let before = known.map(|(_, state)| (*state).clone());
    let handle = wanted
        .map_or_else(|| before.map(|b| b["handle"].clone()).unwrap_or_default(), |w| json!(w));
    shop.put(
        gid,
        json!({
            "__typename": "Menu", "id": gid.to_string(), "title": call.args.text("title"),
            "handle": handle, "isDefault": default, "items": items,
        }),
    );
    answer("menu", link(gid), vec![])
}

/// Items stand one in another, three levels of them.
/// <https://shopify.dev/docs/api/admin-graphql/latest/mutations/menuCreate>
const MENU_LEVELS: usize = 3;

/// What is wrong with items on a level, and with those below.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/MenuUpdateUserErrorCode>
fn menu_refusal(shop: &Shop, items: &[Value], level: usize) -> Option<UserError> {
    if level > MENU_LEVELS && !items.is_empty() {
        let message = "The menu cannot be nested more than 3 level deep.";
        return Some(UserError::new(&["items"], message).code("NESTING_TOO_DEEP"));
    }
    items.iter().find_map(|item| {
        let is_there = |id: &str| id.parse().is_ok_and(|gid: Gid| shop.store.get(gid).is_some());
        if item["resourceId"].as_str().is_some_and(|id| !is_there(id)) {
            let message = "The record with the ID used as the input value couldn't be found.";
            return Some(UserError::new(&["items"], message).code("NOT_FOUND"));
        }
        let below = item["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        menu_refusal(shop, below, level + 1)
    })
}

fn menu_items(shop: &mut Shop, items: &[Value]) -> Vec<Value> {
    items
        .iter()
        .map(|item| {
            let id = item["id"].as_str().and_then(|id| id.parse::<Gid>().ok());
            let id = id.unwrap_or_else(|| shop.store.fresh("MenuItem"));
            let below = item["items"].as_array().cloned().unwrap_or_default();
            json!({
                "__typename": "MenuItem", "id": id.to_string(), "title": item["title"],
                "type": item["type"], "url": item["url"], "resourceId": item["resourceId"],
                "tags": item["tags"].as_array().cloned().unwrap_or_default(),
                "items": menu_items(shop, &below),
            })
        })
        .collect()
}

fn delete_menu(shop: &mut Shop, call: &Call<'_>) -> Value {
    let found = call.args.gid("id").and_then(|gid| shop.store.get(gid));
    if found.is_some_and(|menu| menu["isDefault"] == true) {
        let error = UserError::new(&["id"], "Default menu cannot be deleted");
        return answer(
            "deletedMenuId",
            Value::Null,
            vec![error.code("UNABLE_TO_DELETE_DEFAULT_MENU")],
        );
    }
    delete(shop, call, "Menu", "deletedMenuId")
}
