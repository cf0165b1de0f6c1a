//! The versions of the API, and their retirement.

use std::str::FromStr;

use jiff::{Timestamp, civil::Date, fmt::rfc2822::DateTimePrinter, tz::TimeZone};
use lambda_http::http::{HeaderName, HeaderValue};

use crate::config::{self, ConfigError};

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// A version of the API, by its number: 1 is `/v1`. Which ones there are is up to template.yaml, which has a stage for
/// each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16);

impl Version {
    /// The version that stands in the first segment of a path. Where none does, in front of stages of other names, it is
    /// the one that never breaks: the first.
    pub(super) fn of(path: &str) -> Self {
        path.split('/').nth(1).and_then(|segment| segment.parse().ok()).unwrap_or(Self(1))
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix('v').ok_or(())?;
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        digits.parse().ok().filter(|_| is_plain).map(Self).ok_or(())
    }
}

/// The versions that are given up, and when.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Retirements(Vec<Retirement>);

#[derive(Debug, PartialEq, Eq)]
struct Retirement {
    version: Version,
    headers: [(HeaderName, HeaderValue); 2],
}

impl Retirements {
    /// Reads `RETIREMENTS`, such as `v1=2027-01-01/2027-07-01`, several with a space between: on the first day (UTC) the
    /// version is deprecated, on the second it ends.
    ///
    /// # Errors
    /// Where the variable says something else.
    pub fn read() -> Result<Self, ConfigError> {
        let text = config::optional("RETIREMENTS").unwrap_or_default();
        let mut retirements: Vec<Retirement> = Vec::new();
        for entry in text.split_whitespace() {
            let unusable = |reason: &str| ConfigError::Unusable {
                name: "RETIREMENTS",
                reason: format!("{entry} {reason}"),
            };
            let retirement = Retirement::parse(entry)
                .ok_or_else(|| unusable("is none like v1=2027-01-01/2027-07-01, the later day last"))?;
            if retirements.iter().any(|known| known.version == retirement.version) {
                return Err(unusable("is about a version that is named twice"));
            }
            retirements.push(retirement);
        }
        Ok(Self(retirements))
    }

    /// The headers that every answer of a version has: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594), if it is given
    /// up.
    pub fn headers(&self, version: Version) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let own = self.0.iter().filter(move |retirement| retirement.version == version);
        own.flat_map(|retirement| retirement.headers.clone())
    }
}

impl Retirement {
    fn parse(entry: &str) -> Option<Self> {
        let (version, days) = entry.split_once('=')?;
        let (deprecated, sunset) = days.split_once('/')?;
        let midnight = |day: &str| {
            let date: Date = day.parse().ok().filter(|date: &Date| date.to_string() == day)?;
            date.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp())
        };
        let (deprecated, sunset): (Timestamp, Timestamp) = (midnight(deprecated)?, midnight(sunset)?);
        let headers = [
            (DEPRECATION, format!("@{}", deprecated.as_second()).parse().ok()?),
            (SUNSET, DateTimePrinter::new().timestamp_to_rfc9110_string(&sunset).ok()?.parse().ok()?),
        ];
        let version = version.parse().ok()?;
        // RFC 9745, section 4: never the other way round.
        (deprecated <= sunset).then_some(Self { version, headers })
    }
}
