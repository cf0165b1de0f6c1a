//! Versions of the API and their retirement.

use std::str::FromStr;

use jiff::{Timestamp, civil::Date, fmt::rfc2822::DateTimePrinter, tz::TimeZone};
use lambda_http::http::{HeaderName, HeaderValue};

use crate::config::{self, ConfigError};

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// A version of the API by its number: 1 is `/v1`. template.yaml has a stage for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16);

impl Version {
    /// Parses the first segment of a path. For stages with other names it is version 1.
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

/// Versions that will end, and when.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Retirements(Vec<Retirement>);

#[derive(Debug, PartialEq, Eq)]
struct Retirement {
    version: Version,
    headers: [(HeaderName, HeaderValue); 2],
}

impl Retirements {
    /// Reads `RETIREMENTS`: space-separated entries such as `v1=2027-01-01/2027-07-01`, with the days (UTC) on which the
    /// version is deprecated and ends.
    ///
    /// # Errors
    /// The variable has another format.
    pub fn from_env() -> Result<Self, ConfigError> {
        let text = config::optional("RETIREMENTS");
        let mut retirements: Vec<Retirement> = Vec::new();
        for entry in text.iter().flat_map(|text| text.split_whitespace()) {
            let unusable = |reason: &str| ConfigError::Unusable {
                name: "RETIREMENTS",
                reason: format!("{entry} {reason}"),
            };
            let retirement = Retirement::parse(entry)
                .ok_or_else(|| unusable("must be like v1=2027-01-01/2027-07-01, with the later day last"))?;
            if retirements.iter().any(|known| known.version == retirement.version) {
                return Err(unusable("names a version twice"));
            }
            retirements.push(retirement);
        }
        Ok(Self(retirements))
    }

    /// Returns the headers of every response of a version: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594), if it will end.
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
        // RFC 9745, section 4: a version must not end before it is deprecated.
        (deprecated <= sunset).then_some(Self { version, headers })
    }
}
