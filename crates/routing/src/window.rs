//! From when until when something holds, in whole days of German civil time.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The calendar day in Germany (Europe/Berlin) at an instant: the day by which competence is judged.
pub fn day_in_berlin(instant: Timestamp) -> Date {
    berlin().to_datetime(instant).date()
}

/// The instant at which a day begins in Germany; `None` at the end of the calendar.
pub(crate) fn start_of_day(day: Date) -> Option<Timestamp> {
    berlin().to_timestamp(day.at(0, 0, 0, 0)).ok()
}

fn berlin() -> TimeZone {
    // The time zone database is compiled in, so the lookup does not depend on the host. Should it ever be missing,
    // Central European Time is at most one hour off.
    TimeZone::get("Europe/Berlin").unwrap_or_else(|_| TimeZone::fixed(jiff::tz::offset(1)))
}

/// The days on which an entry is in force, both ends included. An open end means for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// The first day.
    pub from: Option<Date>,
    /// The last day.
    pub until: Option<Date>,
}

impl Window {
    /// Whether `day` is one of the days.
    pub fn contains(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until)
    }

    /// Whether both windows have a day in common.
    pub fn overlaps(&self, other: &Window) -> bool {
        let earlier = |start: Option<Date>, end: Option<Date>| start.zip(end).is_none_or(|(start, end)| start <= end);
        earlier(self.from, other.until)
            && earlier(other.from, self.until)
            && earlier(self.from, self.until)
            && earlier(other.from, other.until)
    }

    /// Whether it is over before `day`.
    pub fn is_over(&self, day: Date) -> bool {
        self.until.is_some_and(|until| until < day)
    }

    /// The days that both windows share; empty windows stay empty.
    pub(crate) fn intersection(&self, other: &Window) -> Window {
        Window {
            from: self.from.max(other.from),
            until: match (self.until, other.until) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
        }
    }

    /// Whether it never begins and never ends.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.from.is_none() && self.until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_day_is_berlins_in_summer_and_in_winter() {
        let day = |text: &str| day_in_berlin(text.parse().unwrap());
        assert_eq!(day("2026-12-31T22:59:59Z"), date(2026, 12, 31));
        assert_eq!(day("2026-12-31T23:00:00Z"), date(2027, 1, 1));
        assert_eq!(day("2026-06-30T21:59:59Z"), date(2026, 6, 30));
        assert_eq!(day("2026-06-30T22:00:00Z"), date(2026, 7, 1));
    }

    #[test]
    fn both_ends_belong_to_a_window() {
        let window = |from: Option<Date>, until: Option<Date>| Window { from, until };
        let (end, start) = (date(2026, 12, 31), date(2027, 1, 1));
        let (before, after) = (window(None, Some(end)), window(Some(start), None));
        assert!(before.contains(end) && !before.contains(start));
        assert!(after.contains(start) && !after.contains(end));
        assert!(!before.overlaps(&after) && !after.overlaps(&before));
        assert!(window(None, None).overlaps(&before) && before.overlaps(&before));
        assert!(before.overlaps(&window(Some(end), None)));
        assert!(!window(Some(start), Some(end)).overlaps(&window(None, None)));
        assert!(before.is_over(start) && !before.is_over(end));
    }
}
