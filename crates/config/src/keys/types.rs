//! What a configuration key is: its name, type, default, rule, scope and synonyms.

use std::fmt;

/// The type of a key's values, as Kafka's `ConfigDef.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`, in any case.
    Bool,
    /// Any text.
    String,
    /// A 32-bit number.
    Int,
    /// A 16-bit number.
    Short,
    /// A 64-bit number.
    Long,
    /// A floating-point number; never NaN.
    Double,
    /// Texts separated by commas.
    List,
    /// The name of a Java class.
    Class,
    /// Text that is never shown.
    Password,
}

impl ConfigType {
    /// The number DescribeConfigs gives this type on the wire.
    #[must_use]
    pub fn wire(self) -> i8 {
        match self {
            Self::Bool => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// The type as Kafka's error messages spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

impl fmt::Display for ConfigType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What else a value must be, beyond its type. Numbers in bounds are inclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    /// Nothing.
    Any,
    /// A number not below this.
    AtLeast(i64),
    /// A number not outside these.
    Between(f64, f64),
    /// 1 to 9, or -1 for gzip's own default.
    GzipLevel,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in upper or lower case.
    OneOfIgnoringCase(&'static [&'static str]),
    /// A list of nothing but these texts.
    EachOf(&'static [&'static str]),
    /// A text that is not empty.
    NonEmpty,
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
}

/// Whether a broker key can be changed while the broker runs, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DynamicScope {
    /// Only at start.
    ReadOnly,
    /// For one broker, not for the cluster.
    PerBroker,
    /// For one broker or for the cluster.
    ClusterWide,
}

impl DynamicScope {
    /// Whether the key can be changed while the broker runs.
    #[must_use]
    pub fn is_dynamic(self) -> bool {
        self != Self::ReadOnly
    }
}

/// A broker key that gives a topic key its value where the topic has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The broker key.
    pub name: &'static str,
    /// How many units of the topic key one unit of the broker key is: 3,600,000 for hours that
    /// become milliseconds.
    pub factor: i64,
}

/// One configuration key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfigKey {
    /// Kafka's name.
    pub name: &'static str,
    /// The type of its values.
    pub config_type: ConfigType,
    /// The value, as text, where nothing sets one; `None` where there is none (Kafka's null).
    pub default: Option<&'static str>,
    /// What a value must be, beyond its type.
    pub check: Check,
    /// Whether it can be changed at run time. Topic keys always can.
    pub scope: DynamicScope,
    /// For a topic key, the broker keys behind it, strongest first; empty for a broker key.
    pub synonyms: &'static [Synonym],
    /// One sentence that says what it does.
    pub doc: &'static str,
}

impl ConfigKey {
    /// Whether its values are secrets, which are never shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.config_type == ConfigType::Password
    }
}
