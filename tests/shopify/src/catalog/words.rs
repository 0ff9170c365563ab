//! The vocabulary of a believable shop.

pub(super) const CUTS: [&str; 20] = [
    "Relaxed",
    "Slim",
    "Cropped",
    "Oversized",
    "Tailored",
    "Classic",
    "Everyday",
    "Heritage",
    "Weekend",
    "Coastal",
    "Alpine",
    "Studio",
    "Field",
    "Harbour",
    "Nordic",
    "Garden",
    "Atelier",
    "Signature",
    "Essential",
    "Vintage",
];
pub(super) const MATERIALS: [&str; 16] = [
    "Linen", "Merino", "Cotton", "Denim", "Corduroy", "Flannel", "Canvas", "Cashmere", "Leather",
    "Suede", "Silk", "Hemp", "Fleece", "Tweed", "Jersey", "Bamboo",
];
pub(super) const NOUNS: [(&str, &str); 30] = [
    ("Overshirt", "Shirts"),
    ("T-Shirt", "Shirts"),
    ("Oxford Shirt", "Shirts"),
    ("Polo", "Shirts"),
    ("Chinos", "Trousers"),
    ("Jeans", "Trousers"),
    ("Shorts", "Trousers"),
    ("Joggers", "Trousers"),
    ("Crewneck", "Knitwear"),
    ("Cardigan", "Knitwear"),
    ("Turtleneck", "Knitwear"),
    ("Beanie", "Accessories"),
    ("Scarf", "Accessories"),
    ("Tote Bag", "Bags"),
    ("Backpack", "Bags"),
    ("Weekender", "Bags"),
    ("Belt", "Accessories"),
    ("Wallet", "Accessories"),
    ("Gloves", "Accessories"),
    ("Socks", "Accessories"),
    ("Parka", "Outerwear"),
    ("Bomber", "Outerwear"),
    ("Raincoat", "Outerwear"),
    ("Blazer", "Outerwear"),
    ("Vest", "Outerwear"),
    ("Dress", "Dresses"),
    ("Skirt", "Dresses"),
    ("Throw", "Home"),
    ("Cushion", "Home"),
    ("Apron", "Home"),
];
pub(super) const VENDORS: [&str; 12] = [
    "Acme",
    "Lindqvist & Co",
    "Marlow",
    "Café Noir",
    "O'Hara Mills",
    "Ōsaka Works",
    "Tern",
    "Fjällverk",
    "Pinebrook",
    "Salt & Stone",
    "Weaver \"No. 9\"",
    "Hollis",
];
pub(super) const TAGS: [&str; 14] = [
    "new",
    "sale",
    "bestseller",
    "organic",
    "limited",
    "made-in-portugal",
    "gift-idea",
    "unisex",
    "summer",
    "winter",
    "recycled",
    "vegan",
    "machine-washable",
    "final-sale",
];
pub(super) const SIZES: [&str; 16] = [
    "XXS", "XS", "S", "M", "L", "XL", "XXL", "3XL", "4XL", "5XL", "28", "30", "32", "34", "36",
    "38",
];
pub(super) const COLOURS: [&str; 16] = [
    "Ecru", "Navy", "Olive", "Charcoal", "Rust", "Sky", "Sand", "Black", "White", "Burgundy",
    "Forest", "Mustard", "Plum", "Slate", "Blush", "Indigo",
];
pub(super) const FINISHES: [&str; 8] =
    ["Plain", "Striped", "Checked", "Embroidered", "Washed", "Quilted", "Printed", "Brushed"];
pub(super) const FIRST_NAMES: [&str; 24] = [
    "Amelia", "Noah", "Zoë", "Mateo", "Ingrid", "Kwame", "Aoife", "Søren", "Priya", "Lukas",
    "Chloé", "Hiro", "Fatima", "Oliver", "Nadia", "Jonas", "Mei", "Diego", "Hannah", "Emre",
    "Siobhán", "Ravi", "Elena", "Tomasz",
];
pub(super) const LAST_NAMES: [&str; 24] = [
    "Nguyen",
    "O'Brien",
    "García",
    "Müller",
    "Okafor",
    "Larsen",
    "Kowalski",
    "Rossi",
    "Tanaka",
    "Smith",
    "Dubois",
    "Haddad",
    "Silva",
    "Novak",
    "Andersson",
    "Patel",
    "MacLeod",
    "Yilmaz",
    "Costa",
    "Weber",
    "Lindgren",
    "Moreau",
    "Byrne",
    "Fischer",
];
/// City, province, province code, country, country code, postal code.
pub(super) const CITIES: [[&str; 6]; 8] = [
    ["Ottawa", "Ontario", "ON", "Canada", "CA", "K2P 2L8"],
    ["Portland", "Oregon", "OR", "United States", "US", "97205"],
    ["Brooklyn", "New York", "NY", "United States", "US", "11211"],
    ["Montréal", "Quebec", "QC", "Canada", "CA", "H2X 1Y4"],
    ["Austin", "Texas", "TX", "United States", "US", "78701"],
    ["Vancouver", "British Columbia", "BC", "Canada", "CA", "V6B 1A1"],
    ["Chicago", "Illinois", "IL", "United States", "US", "60607"],
    ["Sacramento", "California", "CA", "United States", "US", "95814"],
];
pub(super) const STREETS: [&str; 8] = [
    "Elm St.",
    "O'Connor Street",
    "Harbour Road",
    "Maple Avenue",
    "Rue Saint-Denis",
    "Mill Lane",
    "Station Road",
    "5th Avenue",
];

/// The name of a province where somebody lives.
pub(crate) fn province(country: &str, code: &str) -> Option<&'static str> {
    let found =
        CITIES.iter().find(|[_, _, known, _, there, _]| *known == code && *there == country);
    found.map(|[_, name, ..]| *name)
}

/// The codes of a country's provinces, as far as somebody lives there.
pub(crate) fn provinces(country: &str) -> impl Iterator<Item = &'static str> + use<'_> {
    CITIES.iter().filter(move |[_, _, _, _, there, _]| *there == country).map(|city| city[2])
}

/// The name of a country, or its code where nobody lives.
pub(crate) fn country(code: &str) -> Option<&str> {
    let found = CITIES.iter().find(|[.., known, _]| *known == code);
    found.map(|[_, _, _, name, ..]| *name).or(Some(code)).filter(|name| !name.is_empty())
}
