//! Shopify publishes its schemas as introspection results; parsers want the schema language.

use std::fmt::Write as _;

use serde::Deserialize;

/// The part of an introspection result that decides what is valid.
#[derive(Deserialize)]
pub(super) struct Introspection {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "__schema")]
    schema: Schema,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Schema {
    query_type: Named,
    mutation_type: Named,
    types: Vec<Type>,
    directives: Vec<Directive>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Type {
    kind: Kind,
    name: String,
    #[serde(default)]
    is_one_of: Option<bool>,
    #[serde(default)]
    fields: Option<Vec<Field>>,
    #[serde(default)]
    input_fields: Option<Vec<Input>>,
    #[serde(default)]
    interfaces: Option<Vec<Named>>,
    #[serde(default)]
    enum_values: Option<Vec<Named>>,
    #[serde(default)]
    possible_types: Option<Vec<Named>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Kind {
    Scalar,
    Object,
    Interface,
    Union,
    Enum,
    InputObject,
    List,
    NonNull,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    args: Vec<Input>,
    #[serde(rename = "type")]
    ty: TypeRef,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    name: String,
    #[serde(rename = "type")]
    ty: TypeRef,
    #[serde(default)]
    default_value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypeRef {
    kind: Kind,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    of_type: Option<Box<TypeRef>>,
}

#[derive(Deserialize)]
struct Directive {
    name: String,
    locations: Vec<String>,
    args: Vec<Input>,
}

/// Defined by the language itself.
const BUILT_IN: [&str; 9] =
    ["String", "Int", "Float", "Boolean", "ID", "include", "skip", "deprecated", "specifiedBy"];

impl Introspection {
    /// The same schema in the schema definition language.
    pub(super) fn sdl(&self) -> String {
        let schema = &self.data.schema;
        let mut sdl = format!(
            "schema {{ query: {} mutation: {} }}\n",
            schema.query_type.name, schema.mutation_type.name
        );
        for directive in &schema.directives {
            if !BUILT_IN.contains(&directive.name.as_str()) {
                let args = arguments(&directive.args);
                let at = directive.locations.join(" | ");
                let _ = writeln!(sdl, "directive @{}{args} on {at}", directive.name);
            }
        }
        for ty in &schema.types {
            if !ty.name.starts_with("__") && !BUILT_IN.contains(&ty.name.as_str()) {
                ty.write(&mut sdl);
            }
        }
        sdl
    }
}

impl Type {
    fn write(&self, sdl: &mut String) {
        let name = &self.name;
        let _ = match self.kind {
            Kind::Scalar => writeln!(sdl, "scalar {name}"),
            Kind::Union => writeln!(sdl, "union {name} = {}", names(&self.possible_types, " | ")),
            Kind::Enum => writeln!(sdl, "enum {name} {{ {} }}", names(&self.enum_values, " ")),
            Kind::InputObject => {
                let one_of = if self.is_one_of == Some(true) { " @oneOf" } else { "" };
                let fields = self.input_fields.iter().flatten().map(Input::text);
                writeln!(sdl, "input {name}{one_of} {{ {} }}", fields.collect::<Vec<_>>().join(" "))
            }
            Kind::Object | Kind::Interface => {
                let keyword = if self.kind == Kind::Object { "type" } else { "interface" };
                let implements = match names(&self.interfaces, " & ") {
                    none if none.is_empty() => none,
                    some => format!(" implements {some}"),
                };
                let fields = self.fields.iter().flatten().map(|field| {
                    format!("{}{}: {}", field.name, arguments(&field.args), field.ty.text())
                });
                let fields = fields.collect::<Vec<_>>().join(" ");
                writeln!(sdl, "{keyword} {name}{implements} {{ {fields} }}")
            }
            Kind::List | Kind::NonNull => Ok(()),
        };
    }
}

impl Input {
    fn text(&self) -> String {
        let default = self.default_value.as_ref().map(|value| format!(" = {value}"));
        format!("{}: {}{}", self.name, self.ty.text(), default.unwrap_or_default())
    }
}

impl TypeRef {
    fn text(&self) -> String {
        let inner = || self.of_type.as_ref().map(|of| of.text()).unwrap_or_default();
        match self.kind {
            Kind::NonNull => format!("{}!", inner()),
            Kind::List => format!("[{}]", inner()),
            _ => self.name.clone().unwrap_or_default(),
        }
    }
}

fn names(list: &Option<Vec<Named>>, separator: &str) -> String {
    let names: Vec<&str> = list.iter().flatten().map(|named| named.name.as_str()).collect();
    names.join(separator)
}

fn arguments(args: &[Input]) -> String {
    if args.is_empty() {
        return String::new();
    }
    format!("({})", args.iter().map(Input::text).collect::<Vec<_>>().join(", "))
}
