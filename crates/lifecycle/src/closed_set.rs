//! One macro for every closed set of words: text form, parsing, the list of all, serde.
//!
//! A vendor's open set is not a closed set: it stays in the vendor's `wire.rs` with an `Other(String)`.

#[doc(hidden)]
pub use schemars;

/// A word that is not in the closed set it was read for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {set} {word:?}; known: {known}")]
pub struct UnknownWord {
    /// Which set was read, e.g. `Store`.
    pub set: &'static str,
    /// What was found (shortened to 64 characters).
    pub word: String,
    /// The words that are known, separated by blanks.
    pub known: String,
}

/// Declares an enum whose members have one text form each, used in JSON, SQL, logs and screens alike.
#[macro_export]
macro_rules! closed_set {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every member, in declaration order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The one text form.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::closed_set::UnknownWord;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok($name::$variant),)+
                    _ => Err($crate::closed_set::UnknownWord {
                        set: stringify!($name),
                        word: text.chars().take(64).collect(),
                        known: [$($text),+].join(" "),
                    }),
                }
            }
        }

        impl $crate::closed_set::schemars::JsonSchema for $name {
            fn inline_schema() -> bool { true }
            fn schema_name() -> std::borrow::Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut $crate::closed_set::schemars::SchemaGenerator) -> $crate::closed_set::schemars::Schema {
                $crate::closed_set::schemars::json_schema!({"type": "string", "enum": [$($text),+]})
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.serialize_str(self.as_str()) }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                $crate::text_form::read(d)
            }
        }
    };
}
