//! Points in time and their XEP-0082 DateTime form.

use std::{fmt, str::FromStr, time::Duration};

use super::PayloadError;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// 0001-01-01T00:00:00Z and the last microsecond of 9999: what four digits of a year can say.
const MIN_MICROS: i64 = -62_135_596_800 * MICROS_PER_SECOND;
const MAX_MICROS: i64 = 253_402_300_800 * MICROS_PER_SECOND - 1;

/// Microseconds since the Unix epoch, UTC, within the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The nearest time that can be written.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        match micros {
            ..MIN_MICROS => Self(MIN_MICROS),
            MIN_MICROS..=MAX_MICROS => Self(micros),
            _ => Self(MAX_MICROS),
        }
    }

    /// The nearest time that can be written.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_micros(secs.saturating_mul(MICROS_PER_SECOND))
    }

    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Later by `micros`, or earlier if they are negative, within the years 1 to 9999.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }

    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_sub(micros))
    }

    /// How long ago `earlier` was; zero if it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

/// `CCYY-MM-DDThh:mm:ss[.ffffff]Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) =
            (self.0.div_euclid(MICROS_PER_SECOND), self.0.rem_euclid(MICROS_PER_SECOND));
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let time = seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match micros {
            0 => f.write_str("Z"),
            _ => write!(f, ".{micros:06}Z"),
        }
    }
}

impl FromStr for Timestamp {
    type Err = PayloadError;

    /// The DateTime profile; digits beyond the microsecond are dropped.
    fn from_str(text: &str) -> Result<Self, PayloadError> {
        parse(text.trim()).ok_or(PayloadError::Invalid("a date and time"))
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once('T')?;
    let days = parse_date(date)?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone_at);
    let (clock, fraction) = match time.split_once('.') {
        Some((clock, fraction)) => (clock, parse_fraction(fraction)?),
        None => (time, 0),
    };
    let seconds = days * SECONDS_PER_DAY + parse_clock(clock)? - parse_zone(zone)?;
    let micros = seconds * MICROS_PER_SECOND + fraction;
    (MIN_MICROS..=MAX_MICROS).contains(&micros).then_some(Timestamp(micros))
}

fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = digits(parts.next()?, 2)?;
    let day = digits(parts.next()?, 2)?;
    let valid = parts.next().is_none()
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day);
    valid.then(|| days_from_civil(year, month, day))
}

fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    let second = digits(parts.next()?, 2)?;
    (parts.next().is_none() && hour < 24 && minute < 60 && second < 60)
        .then_some(hour * 3600 + minute * 60 + second)
}

fn parse_fraction(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let known = &text[..text.len().min(6)];
    let scale = 10_i64.pow(6 - u32::try_from(known.len()).ok()?);
    Some(known.parse::<i64>().ok()? * scale)
}

/// Seconds east of UTC.
fn parse_zone(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, offset) = text.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    // XML Schema part 2 §3.2.7.3: up to 14 hours.
    if minutes >= 60 || hours * 60 + minutes > 14 * 60 {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    Some(if sign == "-" { -seconds } else { seconds })
}

fn digits(text: &str, length: usize) -> Option<i64> {
    (text.len() == length && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. The year is taken to begin in
/// March, which puts the leap day last; 400 years have 146 097 days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().expect(text).as_micros()
    }

    #[test]
    fn xep_0082_examples() {
        assert_eq!(at("1969-07-21T02:56:15Z"), -14_159_025_000_000);
        assert_eq!(at("1969-07-20T21:56:15-05:00"), at("1969-07-21T02:56:15Z"));
        assert_eq!(at("1970-01-01T00:00:00Z"), 0);
        assert_eq!(at(" 2026-02-28T23:59:59+00:00 "), 1_772_323_199_000_000);
    }

    #[test]
    fn fractions() {
        assert_eq!(at("1970-01-01T00:00:00.5Z"), 500_000);
        assert_eq!(at("1970-01-01T00:00:00.000001Z"), 1);
        assert_eq!(at("1970-01-01T00:00:00.123456789Z"), 123_456);
        assert_eq!(Timestamp::from_micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "T",
            "2002-09-10",
            "2002-09-10T23:08:25",
            "2002-09-10 23:08:25Z",
            "20020910T23:08:25",
            "2002-13-10T23:08:25Z",
            "2002-02-29T23:08:25Z",
            "2002-09-31T00:00:00Z",
            "2002-00-10T23:08:25Z",
            "2002-09-10T24:00:00Z",
            "2002-09-10T23:60:00Z",
            "2002-09-10T23:08:25.Z",
            "2002-09-10T23:08:25.1.2Z",
            "2002-09-10T23:08:25+15:00",
            "2002-09-10T23:08:25+0500",
            "2002-09-10T23:08:25ZZ",
            "+002-09-10T23:08:25Z",
            "12002-09-10T23:08:25Z",
            "0000-12-31T23:59:59Z",
            "9999-12-31T23:59:59-00:01",
            "2002-09-10T23:08:25é5:00",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn leap_days_and_ends() {
        for text in [
            "2000-02-29T12:00:00Z",
            "2024-02-29T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert!("1900-02-29T00:00:00Z".parse::<Timestamp>().is_err());
        assert_eq!(Timestamp::from_micros(i64::MAX).to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_micros(i64::MIN).to_string(), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn arithmetic() {
        let now = Timestamp::from_micros(5);
        assert_eq!(now.saturating_add(Duration::from_micros(2)).as_micros(), 7);
        assert_eq!(now.saturating_sub(Duration::from_micros(6)).as_micros(), -1);
        assert_eq!(now.plus_micros(-6).as_micros(), -1);
        assert_eq!(now.plus_micros(i64::MIN).as_micros(), MIN_MICROS);
        assert_eq!(Timestamp::from_secs(2).as_micros(), 2_000_000);
        assert_eq!(Timestamp::from_secs(i64::MAX).as_micros(), MAX_MICROS);
        assert_eq!(now.saturating_add(Duration::MAX).as_micros(), MAX_MICROS);
        assert_eq!(now.since(Timestamp::from_micros(2)), Duration::from_micros(3));
        assert_eq!(now.since(Timestamp::from_micros(9)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn text_and_back(micros in MIN_MICROS..=MAX_MICROS) {
            let time = Timestamp::from_micros(micros);
            prop_assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
        }

        #[test]
        fn order_of_text_is_order_of_time(a in 0..MAX_MICROS, b in 0..MAX_MICROS) {
            let (a, b) = (a - a % MICROS_PER_SECOND, b - b % MICROS_PER_SECOND);
            let text = |t| Timestamp::from_micros(t).to_string();
            prop_assert_eq!(a.cmp(&b), text(a).cmp(&text(b)));
        }

        #[test]
        fn never_panics(text in "\\PC{0,30}") {
            let _ = text.parse::<Timestamp>();
        }

        #[test]
        fn never_panics_on_digits(text in "[0-9TZ:.+-]{0,32}") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
