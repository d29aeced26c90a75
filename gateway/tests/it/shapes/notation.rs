//! The notation of `table.txt`.

use std::collections::BTreeMap;

/// An inclusive range; open where nothing is said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range(i64, i64);

impl Range {
    const ANY: Self = Self(i64::MIN, i64::MAX);

    pub(super) fn contains(self, number: i64) -> bool {
        (self.0..=self.1).contains(&number)
    }

    fn parse(text: &str) -> Option<Self> {
        let (least, most) = text.split_once("..")?;
        let bound = |text: &str, open: i64| match text {
            "" => open,
            text => text.parse().unwrap(),
        };
        Some(Self(bound(least, i64::MIN), bound(most, i64::MAX)))
    }
}

/// The patterns of the published schemas.
#[derive(Debug, Clone, Copy)]
pub(super) enum Like {
    Nick,
    Name,
    AxAddress,
    PublicAddress,
    Sha256,
    SemanticType,
    IntentTypeV1,
    EventType,
}

impl Like {
    fn parse(text: &str) -> Self {
        match text {
            "nick" => Self::Nick,
            "name" => Self::Name,
            "ax-address" => Self::AxAddress,
            "public-address" => Self::PublicAddress,
            "sha256" => Self::Sha256,
            "semantic-type" => Self::SemanticType,
            "intent-type-v1" => Self::IntentTypeV1,
            "event-type" => Self::EventType,
            other => panic!("no pattern {other}"),
        }
    }

    pub(super) fn matches(self, text: &str) -> bool {
        let all = |text: &str, extra: &[u8]| {
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || extra.contains(&b);
            !text.is_empty() && text.bytes().all(fits)
        };
        let name = |text: &str| (3..=32).contains(&text.len()) && all(&text.to_lowercase(), b"_.-");
        match self {
            Self::Nick => text.strip_prefix('@').is_some_and(name),
            Self::Name => name(text),
            Self::AxAddress => text.strip_suffix("@ax").is_some_and(name),
            Self::PublicAddress => text.split_once('@').is_some_and(|(local, host)| {
                name(local) && (2..=32).contains(&host.len()) && all(host, b"-")
            }),
            Self::Sha256 => {
                text.len() == 64 && text.bytes().all(|b| b"0123456789abcdef".contains(&b))
            }
            Self::SemanticType => {
                let words: Vec<_> = text.split('.').collect();
                let version = words.last().and_then(|word| word.strip_prefix('v'));
                words.len() >= 4
                    && words.iter().all(|word| all(word, b"_"))
                    && version.is_some_and(|version| version.parse::<u32>().is_ok())
            }
            Self::IntentTypeV1 => {
                let inner = text.strip_prefix("intent.").and_then(|it| it.strip_suffix(".v1"));
                inner.is_some_and(|inner| all(inner, b"_"))
            }
            Self::EventType => text.strip_prefix("intent.").is_some_and(|rest| all(rest, b"_")),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Any,
    True,
    Bool,
    Int(Range),
    Text(Range, Option<Like>),
    Uuid,
    Uri,
    Instant,
    OneOf(Vec<String>),
    Object(Vec<Field>),
    Named(String),
    List(Range, Box<Kind>),
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) is_required: bool,
    pub(super) is_nullable: bool,
    pub(super) kind: Kind,
}

/// Shapes by route and by name.
#[derive(Debug, Default)]
pub(super) struct Table {
    routes: BTreeMap<String, Vec<Field>>,
    objects: BTreeMap<String, Vec<Field>>,
}

impl Table {
    pub(super) fn parse(text: &str) -> Self {
        let mut table = Self::default();
        let lines: Vec<&str> =
            text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).collect();
        let mut rest = &lines[..];
        while let Some((head, below)) = rest.split_first() {
            let (fields, left) = table.fields(below, 2);
            rest = left;
            match head.strip_prefix("object ") {
                Some(name) => table.objects.insert(name.to_owned(), fields),
                None => table.routes.insert((*head).to_owned(), fields),
            };
        }
        table
    }

    /// The fields at one depth, and the lines behind them.
    fn fields<'a>(&self, mut lines: &'a [&'a str], depth: usize) -> (Vec<Field>, &'a [&'a str]) {
        let mut fields = Vec::new();
        while let Some((line, below)) = lines.split_first() {
            if line.len() - line.trim_start().len() != depth {
                break;
            }
            if let Some(name) = line.trim().strip_prefix("...") {
                fields.extend(self.object(name).to_vec());
                lines = below;
                continue;
            }
            let (children, left) = self.fields(below, depth + 2);
            fields.push(field(line.trim(), children));
            lines = left;
        }
        (fields, lines)
    }

    pub(super) fn routes(&self) -> impl Iterator<Item = &str> {
        self.routes.keys().map(String::as_str)
    }

    pub(super) fn object(&self, name: &str) -> &[Field] {
        self.objects.get(name).unwrap_or_else(|| panic!("no object {name}"))
    }

    /// The route of a request; literal segments come before parameters.
    pub(super) fn route(&self, method: &str, path: &str) -> Option<(&str, &[Field])> {
        let fits = |template: &str| -> Option<usize> {
            let template = template.strip_prefix(method)?.strip_prefix(' ')?;
            // An address has slashes of its own: what follows it is matched from the end.
            if let Some(suffix) = template.strip_prefix("/v1/agents/{address}") {
                let given = path.strip_prefix("/v1/agents/")?;
                if suffix.is_empty() {
                    return (!given.ends_with("/stream")).then_some(0);
                }
                let (suffix, given) = match suffix.strip_suffix("/{entry_id}") {
                    Some(suffix) => (suffix, given.rsplit_once('/')?.0),
                    None => (suffix, given),
                };
                return given.strip_suffix(suffix).map(|_| suffix.len());
            }
            let (wanted, given) = (template.split('/'), path.split('/'));
            if wanted.clone().count() != given.clone().count() {
                return None;
            }
            let mut literal = 0;
            for (wanted, given) in wanted.zip(given) {
                match wanted {
                    wanted if wanted.starts_with('{') => {}
                    wanted if wanted == given => literal += 1,
                    _ => return None,
                }
            }
            Some(literal)
        };
        let found = self.routes.iter().filter_map(|(route, it)| Some((fits(route)?, route, it)));
        let (_, route, fields) = found.max_by_key(|(literal, ..)| *literal)?;
        Some((route, fields))
    }
}

fn field(line: &str, children: Vec<Field>) -> Field {
    let (name, rest) = line.split_once(' ').unwrap();
    let words: Vec<&str> = rest.split(' ').collect();
    let is_nullable = words.last() == Some(&"null");
    let words = if is_nullable { &words[..words.len() - 1] } else { &words[..] };
    Field {
        name: name.trim_end_matches('*').to_owned(),
        is_required: name.ends_with('*'),
        is_nullable,
        kind: kind(words, children),
    }
}

fn kind(words: &[&str], children: Vec<Field>) -> Kind {
    let range = words.get(1).and_then(|word| Range::parse(word)).unwrap_or(Range::ANY);
    let like = words.windows(2).find(|pair| pair[0] == "like").map(|pair| Like::parse(pair[1]));
    match words[0] {
        "any" => Kind::Any,
        "true" => Kind::True,
        "bool" => Kind::Bool,
        "int" => Kind::Int(range),
        "str" => Kind::Text(range, like),
        "uuid" => Kind::Uuid,
        "uri" => Kind::Uri,
        "ts" => Kind::Instant,
        "one-of" => Kind::OneOf(words[1..].iter().map(|word| (*word).to_owned()).collect()),
        "obj" => Kind::Object(children),
        "list" => {
            let of = words.iter().position(|word| *word == "of");
            let item = match of {
                Some(of) => kind(&words[of + 1..], Vec::new()),
                None => Kind::Object(children),
            };
            let range = if of == Some(1) { Range::ANY } else { range };
            Kind::List(range, Box::new(item))
        }
        name if name.starts_with(char::is_uppercase) => Kind::Named(name.to_owned()),
        other => panic!("no kind {other}"),
    }
}
